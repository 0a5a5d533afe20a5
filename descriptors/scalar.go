package descriptors

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// words11 are plain words that YAML 1.1, which the reference service reads,
// takes for booleans.
var words11 = map[string]bool{
	"y": true, "yes": true, "on": true, "n": false, "no": false, "off": false,
}

// null tells that a field has no value: `value:`, `value: ~` or `value: null`.
func (f field) null() bool { return f.value.Kind == yaml.ScalarNode && f.value.Tag == "!!null" }

// str reads a text. What YAML would read as something else is taken as it is
// written, with a warning: another reader of the file would see another text.
func (w *walker) str(f field) (string, bool) {
	n := f.value
	if n.Kind == yaml.ScalarNode {
		_, word := words11[strings.ToLower(n.Value)]
		switch n.Tag {
		case "!!str":
			if word && n.Style == 0 {
				w.warn(n, "write "+quote(n.Value), "%s is taken as the text %s, other YAML readers see a boolean", n.Value, quote(n.Value))
			}
			return n.Value, true
		case "!!int", "!!float", "!!bool", "!!timestamp", "!!merge":
			if n.Style&yaml.TaggedStyle == 0 {
				w.warn(n, "write "+quote(n.Value)+", in quotes", "%s is taken as the text %s", printable(n.Value, maxShown), quote(n.Value))
				return n.Value, true
			}
		}
	}
	w.fail(n, "", "%s must be a text, not %s", printable(f.key.Value, maxShown), kindOf(n))
	return "", false
}

// word reads one of several words.
func (w *walker) word(f field, words []string) (string, bool) {
	n, remedy := f.value, "use "+strings.Join(words, ", ")
	if len(words) > 1 {
		remedy = "use one of " + strings.Join(words, ", ")
	}
	if n.Kind == yaml.ScalarNode && (n.Tag == "!!str" || n.Style == 0) && slices.Contains(words, n.Value) {
		return n.Value, true
	}
	w.fail(n, remedy, "%s cannot be %s", f.key.Value, kindOf(n))
	return "", false
}

// boolean reads true or false, and the words that YAML 1.1 has for them. As in
// the reference service a field without a value is false.
func (w *walker) boolean(f field) (value, ok bool) {
	n := f.value
	if f.null() {
		w.warn(n, "remove it, or write false", "%s is empty and taken as false", printable(f.key.Value, maxShown))
		return false, true
	}
	if n.Kind == yaml.ScalarNode && n.Style == 0 {
		if n.Tag == "!!bool" {
			return strings.EqualFold(n.Value, "true"), true
		}
		if v, word := words11[strings.ToLower(n.Value)]; word {
			w.warn(n, "write "+strconv.FormatBool(v), "%s is taken as %v", n.Value, v)
			return v, true
		}
	}
	w.fail(n, "", "%s must be true or false, not %s", printable(f.key.Value, maxShown), kindOf(n))
	return false, false
}

// integer reads a whole number in [least, most], in plain decimal digits: a
// number that looks like another one (1e3, 1_000, 010) is not guessed at.
func (w *walker) integer(f field, least, most int64) (int64, bool) {
	n := f.value
	if n.Kind == yaml.ScalarNode && n.Tag == "!!int" && n.Style == 0 {
		v, err := strconv.ParseInt(n.Value, 10, 64)
		if err == nil && strconv.FormatInt(v, 10) == n.Value {
			return v, w.within(n, f, v, least, most)
		}
	}
	w.fail(n, "write it in decimal digits, without quotes, point, exponent or underscore", "%s must be a whole number, not %s",
		printable(f.key.Value, maxShown), kindOf(n))
	return 0, false
}

// loose reads a whole number as the reference service does, which knows octal,
// hexadecimal and binary numbers and underscores.
func (w *walker) loose(f field, least, most int64) (int64, bool) {
	n := f.value
	if n.Kind == yaml.ScalarNode && n.Tag == "!!int" && n.Style == 0 {
		v, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 0, 64)
		if decimal := strconv.FormatInt(v, 10); err == nil && decimal != n.Value {
			w.warn(n, "write "+decimal, "%s is taken as %s", printable(n.Value, maxShown), decimal)
			return v, w.within(n, f, v, least, most)
		}
	}
	return w.integer(f, least, most)
}

func (w *walker) within(n *yaml.Node, f field, v, least, most int64) bool {
	if v >= least && v <= most {
		return true
	}
	if most == math.MaxInt64 {
		w.fail(n, "", "%s must be %d or more", printable(f.key.Value, maxShown), least)
	} else {
		w.fail(n, "", "%s must be between %d and %d", printable(f.key.Value, maxShown), least, most)
	}
	return false
}
