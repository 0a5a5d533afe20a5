package settings

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/weir-rls/weir/internal/config"
)

// Ignored is a variable that is set and has no effect.
type Ignored struct {
	Variable string
	Why      string
}

// others are variables of other versions of the reference, and of proposals for it. They
// are no settings here, and who sets one is told what there is instead.
var others = []Ignored{
	{"REDIS_USE_EXPLICIT_PIPELINE", alwaysTogether},
	{"REDIS_PERSECOND_USE_EXPLICIT_PIPELINE", alwaysTogether},
	{"REDIS_AWS_IAM_AUTH", "have a token written to a file, before each expires, and name it in REDIS_AUTH_FILE"},
}

const alwaysTogether = "requests that come together go to Redis together, without waiting for more"

// Read reads the settings from an environment ("NAME=value"). Variables that it does not
// know are left aside. Faults are told all at once, each of which names its variable.
func Read(environ []string) (Settings, []Ignored, error) {
	given := map[string]string{}
	for _, variable := range environ {
		if name, value, _ := strings.Cut(variable, "="); name != "" && value != "" {
			given[name] = value
		}
	}
	var faults []error
	var ignored []Ignored
	for _, v := range variables() {
		value, set := given[v.name]
		if !set {
			continue
		}
		if v.unused != "" {
			ignored = append(ignored, Ignored{v.name, v.unused})
			if parse(&Settings{}, map[string]string{v.name: value}) != nil {
				delete(given, v.name) // it has no effect, so its value has none either
			}
			continue
		}
		if parse(&Settings{}, map[string]string{v.name: value}) != nil {
			faults = append(faults, v.fault(value))
		}
	}
	for _, o := range others {
		if given[o.Variable] != "" {
			ignored = append(ignored, o)
		}
	}
	if len(faults) > 0 {
		return Settings{}, nil, errors.Join(faults...)
	}
	s := Settings{Redis: Redis{URL: "/var/run/nutcracker/ratelimit.sock"}, PerSecond: Redis{URL: "/var/run/nutcracker/ratelimitpersecond.sock"}}
	if err := parse(&s, given); err != nil {
		return Settings{}, nil, err
	}
	var err error
	if s.Stats.Mogrifiers, err = mogrifiers(s.Stats.MogrifierNames, given); err != nil {
		return Settings{}, nil, err
	}
	if (s.XDS.Cert == "") != (s.XDS.Key == "") {
		ignored = append(ignored, Ignored{"CONFIG_GRPC_XDS_CLIENT_TLS_CERT, CONFIG_GRPC_XDS_CLIENT_TLS_KEY", "one is set without the other, so that the control plane is shown no certificate"})
	}
	if s.Server.ClientSAN != "" && s.Server.ClientCA == "" {
		ignored = append(ignored, Ignored{"GRPC_CLIENT_TLS_SAN", "clients have no certificate unless GRPC_CLIENT_TLS_CACERT is set"})
	}
	return s, ignored, s.check()
}

// mogrifiers reads the variables of each name.
func mogrifiers(names []string, given map[string]string) (all []Mogrifier, err error) {
	for _, name := range names {
		prefix := "DOG_STATSD_MOGRIFIER_" + name + "_"
		m := Mogrifier{Name: name, Pattern: given[prefix+"PATTERN"], Metric: given[prefix+"NAME"], Tags: map[string]string{}}
		for pair := range strings.SplitSeq(given[prefix+"TAGS"], ",") {
			key, value, ok := strings.Cut(pair, ":")
			if pair != "" && !ok {
				return nil, fmt.Errorf("%sTAGS: %.80q is not KEY:VALUE,KEY:VALUE", prefix, given[prefix+"TAGS"])
			}
			if ok {
				m.Tags[key] = value
			}
		}
		all = append(all, m)
	}
	return all, nil
}

// parse reads numbers as the reference does: 0x10 is 16 and 010 is 8.
func parse(s *Settings, given map[string]string) error {
	whole := func(text string) (any, error) {
		n, err := strconv.ParseInt(text, 0, strconv.IntSize)
		return int(n), err
	}
	return env.ParseWithOptions(s, env.Options{
		Environment: given, FuncMap: map[reflect.Type]env.ParserFunc{reflect.TypeFor[int](): whole},
	})
}

// variable is one of the fields of [Settings], as its tags tell.
type variable struct {
	group, about        string // about its group
	name, usage, unused string
	own                 bool // not of the reference
	kind                reflect.Type
	at                  []int // of the field
}

func variables() (all []variable) {
	for group := range reflect.TypeFor[Settings]().Fields() {
		for field := range group.Type.Fields() {
			tag := field.Tag
			if tag.Get("env") == "-" {
				continue
			}
			all = append(all, variable{
				group: group.Tag.Get("group"), about: group.Tag.Get("usage"), name: group.Tag.Get("envPrefix") + tag.Get("env"), usage: tag.Get("usage"), unused: tag.Get("unused"),
				own:  tag.Get("own") != "" || group.Name == "Weir" || group.Name == "PerSecond" && strings.HasPrefix(tag.Get("env"), "TLS_"),
				kind: field.Type, at: []int{group.Index[0], field.Index[0]},
			})
		}
	}
	return all
}

// fault is the error of a value that cannot be read.
func (v variable) fault(value string) error {
	if v.secret() {
		return fmt.Errorf("%s: its value, which is not shown, is not %s", v.name, v.accepts())
	}
	return fmt.Errorf("%s: %.80q is not %s", v.name, value, v.accepts())
}

var secret = reflect.TypeFor[config.Secret]()

func (v variable) secret() bool {
	return v.kind == secret || v.kind.Kind() == reflect.Map && v.kind.Elem() == secret
}

func (v variable) accepts() string {
	switch {
	case v.kind == reflect.TypeFor[time.Duration]():
		return "a duration, such as 500ms, 10s or 1h30m"
	case v.kind.Kind() == reflect.Bool:
		return "a boolean: true, t or 1, or false, f or 0"
	case v.kind.Kind() == reflect.Int:
		return "a whole number"
	case v.kind.Kind() == reflect.Map:
		return "KEY:VALUE,KEY:VALUE"
	}
	return "a number"
}
