package descriptors

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// values are the values that a rule meets.
type values struct {
	kind  valueKind
	text  string // what the file states; of a network its one text
	glob  *glob
	regex *regexp.Regexp
}

type valueKind uint8

const (
	anyValue valueKind = iota
	oneValue
	globValue
	networkValue
	regexValue
)

// sign stands between key and value where a rule is named; with it no two
// kinds of rules are named alike.
func (k valueKind) sign() string { return [...]string{"", "=", "=", "=/", "=~"}[k] }

// single tells that only one value is met, which the rule then states.
func (v *values) single() bool {
	return v.kind == oneValue || v.kind == networkValue && strings.IndexByte(v.text, '/') < 0
}

// meet tells whether a pattern meets a value. Bytes that are no UTF-8 each count
// as one character, U+FFFD, and . is any character, also a line break: a client
// must not leave a rule by a character that nobody thought of.
func (v *values) meet(s string) bool {
	switch v.kind {
	case anyValue:
		return true
	case oneValue:
		return s == v.text
	case globValue:
		return v.glob.matches(s)
	case regexValue:
		return v.regex.MatchString(s)
	}
	return false
}

// values reads which values a rule meets.
func (w *walker) values(fields map[string]field, r *rule) bool {
	stated, name := field{}, ""
	for _, form := range []string{"value", "value_cidr", "value_regex"} {
		f, ok := fields[form]
		if !ok {
			continue
		}
		if name != "" {
			w.fail(f.key, "keep one of the two", "the descriptor has both %s and %s", name, form)
			return false
		}
		stated, name = f, form
	}
	if name == "" {
		w.endless(r)
		return true
	}
	text, ok := "", stated.null() && name == "value"
	if !ok {
		text, ok = w.value(stated)
	}
	switch {
	case !ok:
		return false
	case text != "":
	case name == "value":
		remedy := "remove it if that is meant"
		if stated.null() {
			remedy += `, else write "null"`
		}
		w.warn(stated.value, remedy, "the value is empty: the descriptor meets every value of %s", quote(r.key))
		return true
	default:
		w.fail(stated.value, "remove it to meet every value", "the %s is empty", name)
		return false
	}
	r.at, r.text = at(w.text, stated.value), text
	switch name {
	case "value_cidr":
		return w.network(stated, r)
	case "value_regex":
		return w.regex(stated, r)
	}
	if r.kind = oneValue; strings.Contains(text, "*") {
		pattern := newGlob(text)
		r.kind, r.glob = globValue, &pattern
	}
	return true
}

// value reads what an entry has to be.
func (w *walker) value(f field) (string, bool) {
	found := len(w.faults)
	text, ok := w.str(f)
	if w.discreet && len(w.faults) > found {
		told := &w.faults[found]
		told.Message, told.Remedy = f.key.Value+" is not written as a text", "write it in quotes"
	}
	return text, ok
}

// told is a value as a fault repeats it.
func (w *walker) told(value string) string {
	if w.discreet {
		return "this"
	}
	return value
}

// endless warns of the one pattern that the reference service reads otherwise:
// it tests key_value as a whole, so that the end of a pattern of the key alone
// is looked for in the value.
func (w *walker) endless(r *rule) {
	if strings.Contains(r.key, "*") && !strings.HasSuffix(r.key, "*") {
		w.faults = append(w.faults, r.at.fault(Warning, "the key "+quote(r.key)+" is met with any value",
			"envoyproxy/ratelimit would look for its end in the value: state a value"))
	}
}

// network reads value_cidr.
func (w *walker) network(f field, r *rule) bool {
	p, ok := parseNetwork(r.text)
	switch {
	case !ok:
		w.fail(f.value, "write a network or an address, as in 10.0.0.0/8, 2001:db8::/32 or 10.0.0.1", "value_cidr cannot be %s", w.told(kindOf(f.value)))
		return false
	case strings.Contains(r.key, "*"):
		w.fail(f.value, "write the whole key", "a key with a * cannot have a value_cidr")
		return false
	case p != p.Masked():
		w.warn(f.value, "write "+networkText(p), "%s is taken as %s", w.told(quote(r.text)), networkText(p))
	}
	r.kind, r.text = networkValue, networkText(p)
	return true
}

const (
	// maxRegex and maxProgram bound a value_regex: its bytes, and the steps it
	// compiles to, which repetitions such as (ab){300} multiply. A match takes at
	// most that many steps for each byte of the value: 6 us at the bound, by an
	// expression made for it.
	maxRegex   = 1000
	maxProgram = 1000
)

// regex reads value_regex. What it becomes is anchored around the parsed
// expression, not around the text, which could close the group it stands in.
func (w *walker) regex(f field, r *rule) bool {
	if len(r.text) > maxRegex {
		w.fail(f.value, "", "the value_regex has %d bytes, more than %d", len(r.text), maxRegex)
		return false
	}
	parsed, err := syntax.Parse(r.text, syntax.Perl|syntax.DotNL)
	if err != nil {
		w.fail(f.value, "use Go's syntax (RE2)", "the value_regex cannot be read: %s", printable(strings.TrimPrefix(err.Error(), "error parsing regexp: "), maxShown))
		return false
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err == nil && len(program.Inst) <= maxProgram {
		r.regex, err = regexp.Compile(`\A(?:` + parsed.String() + `)\z`)
	}
	if r.regex == nil || err != nil {
		w.fail(f.value, "repeat less", "the value_regex takes more than %d steps for each character", maxProgram)
		return false
	}
	r.kind = regexValue
	return true
}
