package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parse gives raw the setting's type. Flags and variables give strings, a file
// gives what YAML made of the text; nothing is converted by guessing, because
// `drain_delay: 5` would become five nanoseconds.
func (s setting) parse(raw any) (any, error) {
	value, remedy := s.typed(raw)
	if remedy == "" && s.check != nil {
		remedy = s.check(value)
	}
	if remedy != "" {
		return nil, errors.New(s.quote(fmt.Sprint(raw)) + " " + remedy)
	}
	return value, nil
}

// typed is raw in the setting's type, or the reason why it cannot be.
func (s setting) typed(raw any) (value any, remedy string) {
	text, isText := raw.(string)
	switch s.def.(type) {
	case bool:
		if value, ok := raw.(bool); ok {
			return value, ""
		}
		if isText && (text == "true" || text == "false") {
			return text == "true", ""
		}
		return nil, "is neither true nor false"
	case int:
		if value, ok := raw.(int); ok {
			return value, ""
		}
		if value, err := strconv.Atoi(text); isText && err == nil {
			return value, ""
		}
		return nil, "is not a whole number"
	case float64:
		if value, ok := raw.(float64); ok {
			return value, ""
		}
		if value, ok := raw.(int); ok {
			return float64(value), ""
		}
		if value, err := strconv.ParseFloat(text, 64); isText && err == nil {
			return value, ""
		}
		return nil, "is not a number: write it as 0.01"
	case time.Duration:
		if value, err := time.ParseDuration(text); isText && err == nil {
			return value, ""
		}
		return nil, "is not a duration: write a number and a unit, such as 500ms, 5s or 1m30s"
	default:
		if isText {
			return text, ""
		}
		return nil, "is not a text: write it in quotes"
	}
}

// quote makes text safe to print, and short.
func quote(text string) string {
	const longest = 100
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "..."
	}
	return strconv.Quote(text)
}

func oneOf(allowed ...string) func(any) string {
	return func(value any) string {
		if slices.Contains(allowed, value.(string)) {
			return ""
		}
		return "is none of " + strings.Join(allowed, ", ")
	}
}

func atLeast[T cmp.Ordered](least T) func(any) string {
	return func(value any) string {
		if value.(T) >= least {
			return ""
		}
		return fmt.Sprintf("is too small: give at least %v", least)
	}
}

func between(least, most int) func(any) string {
	return func(value any) string {
		if n := value.(int); n < least || n > most {
			return fmt.Sprintf("is out of bounds: give a number from %d to %d", least, most)
		}
		return ""
	}
}

func ratio(value any) string {
	if n := value.(float64); n >= 0 && n <= 1 { // what is no number is neither
		return ""
	}
	return "is no share: give a number from 0 to 1"
}

func zeroOrAtLeast(least time.Duration) func(any) string {
	return func(value any) string {
		if value.(time.Duration) == 0 {
			return ""
		}
		return atLeast(least)(value)
	}
}

// optional lets a text be empty, else check it.
func optional(check func(any) string) func(any) string {
	return func(value any) string {
		if value == "" {
			return ""
		}
		return check(value)
	}
}

func server(value any) string {
	host, port, err := net.SplitHostPort(value.(string))
	if n, numberErr := strconv.ParseUint(port, 10, 16); err != nil || numberErr != nil || host == "" || n == 0 {
		return "is not the address of a server: write HOST:PORT, such as envoy-gateway:18001 or [::1]:18001"
	}
	return ""
}

// Pairs reads KEY=VALUE,... . Of a key that is there twice the last value counts.
func Pairs(text string) map[string]string {
	all := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if key, value, found := strings.Cut(pair, "="); found {
			all[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return all
}

func pairs(value any) string {
	for pair := range strings.SplitSeq(value.(string), ",") {
		if key, _, found := strings.Cut(pair, "="); !found || strings.TrimSpace(key) == "" {
			return "has a part without a key or a value: write KEY=VALUE, and commas between"
		}
	}
	return ""
}

// headers are pairs of names and values that gRPC can send. What is wrong is told in words
// that repeat no part of it.
func headers(value any) string {
	if fault := pairs(value); fault != "" {
		return fault
	}
	for name, content := range Pairs(value.(string)) {
		if strings.Trim(name, "0123456789abcdefghijklmnopqrstuvwxyz-_.") != "" || strings.HasPrefix(name, "grpc-") {
			return "has a name that no header has: write lower-case letters, digits, -, _ and ., and nothing that begins with grpc-"
		}
		if strings.ContainsFunc(content, func(r rune) bool { return r < ' ' || r > '~' }) {
			return "has a value that no header has: write printable ASCII"
		}
	}
	return ""
}

func webURL(value any) string {
	u, err := url.Parse(value.(string))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "is not a URL to post to: write http://HOST/PATH or https://HOST/PATH"
	}
	return ""
}

func address(value any) string {
	const remedy = "is not an address to listen on: write HOST:PORT or :PORT, such as 127.0.0.1:8081, [::1]:8081 or :8081"
	_, port, err := net.SplitHostPort(value.(string))
	if err != nil {
		return remedy
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return remedy
	}
	return ""
}
