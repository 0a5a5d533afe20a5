package descriptors

import (
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/buckets"
)

// Dialect is what rules in the reference service's form mean, where weir and it differ.
// All that weir adds to the language means the same in both, or is refused.
type Dialect uint8

const (
	// Weir is the language of docs/reference/rules.md.
	Weir Dialect = iota
	// Reference is that of envoyproxy/ratelimit. A rate_limit, and an override, is a
	// window of so many seconds counted from the epoch, and is meant to count also what
	// it refuses; its bucket is that of the entries and the unit, whatever it is called
	// and however much it admits. A * is looked for in key_value as a whole. Nothing
	// waits, and nobody is told how a request ended.
	Reference
)

// text is a file's content, to be read in the dialect.
func (d Dialect) text(file string, content []byte) *text {
	t := newText(file, content)
	t.dialect = d
	return t
}

// lacking are the fields that need what the Reference dialect's service does not have:
// callers who wait, receipts, or weir's administration.
var lacking = map[string]string{
	"max_wait": "no caller waits", "max_waiters": "no caller waits",
	"slots": "nobody tells when a request ends", "slot_ttl": "nobody tells when a request ends",
	breaker: "nobody tells how a request ends", "feedback": "nobody tells how a request ends", "presets": "nobody tells how a request ends",
	"instances": "nobody counts instances",
}

// otherwise is where a file goes on that states more than the Reference dialect has.
const otherwise = "remove it, or run weir serve"

// lacks reports a field that needs what the dialect lacks.
func (w *walker) lacks(name string, f field) bool {
	why, lacks := lacking[name]
	if lacks = lacks && w.text.dialect == Reference; lacks {
		w.fail(f.key, otherwise, "%s has no meaning here: in the form of envoyproxy/ratelimit %s", name, why)
	}
	return lacks
}

// referenceFields are those of the reference service, which takes each of them anywhere and
// reads it where it has a meaning.
var referenceFields = []string{
	"domain", "descriptors", "key", "value", "rate_limit", "unit", "requests_per_unit", "unlimited", "name", "replaces",
	"shadow_mode", "quota_mode", "detailed_metric", "value_to_metric", "share_threshold", "metadata",
}

// strays tells that a field which t does not have is one that the reference service passes
// over, and warns of it.
func (w *walker) strays(name string, f field, t table) bool {
	passed := w.text.dialect == Reference && slices.Contains(referenceFields, name)
	if passed {
		w.warn(f.key, t.suggest(name), "%s means nothing in %s", name, t.what)
	}
	return passed
}

// repeated reports a field that stands in one mapping for a second time, and tells whether
// that is the one to read: the reference service takes the last.
func (w *walker) repeated(n *yaml.Node, name string, first *yaml.Node) (read bool) {
	severity, outcome := Error, ""
	if read = w.text.dialect == Reference; read {
		severity, outcome = Warning, ", and is the one that is read"
	}
	w.report(severity, n, "remove one of the two", "field %s stands here a second time, first on line %d%s", quote(name), first.Line, outcome)
	return read
}

// referenceDebt is how far settlements may go beyond a limit: as far as numbers stay
// exact, so that what is refused counts, too.
const referenceDebt = buckets.MaxTicks - 2*maxTokens

// unitDefaults are those of a rate_limit, and of an override. In the Reference dialect a
// store that fails fails the call, unless the file says otherwise.
func (w *walker) unitDefaults() Settings {
	s := w.defaults
	if w.text.dialect == Reference && !w.storeErrorStated {
		s.OnStoreError = buckets.Fail
	}
	return s
}

// referenceUnit makes s what the reference service makes of a rate_limit.
func (s *limitSpec) referenceUnit(requests int64, u Unit) {
	s.algorithm, s.limit.Unit = fixedWindow, u
	period, _ := u.period(1)
	s.terms = terms{rate: rate{tokens: requests, period: period}, debt: referenceDebt, debtStated: true}
	s.make()
}

// referenceOverride is [domain.override] in the Reference dialect.
func (d *domain) referenceOverride(o *Override, limit *Limit) {
	limit.Reference, limit.Unit = true, o.Unit
	limit.Bucket = buckets.FixedWindow{Limit: limit.Requests, Debt: referenceDebt, Calendar: buckets.Calendar{Unit: buckets.Aligned, Length: limit.Period}}
	limit.id = d.name + "\x00\x00" + overrideID(o, fixedWindow)
	limit.key = referenceID(o.Unit, o.Multiplier)
}

// referenceID is the id of a rate_limit in bucket keys, the same for all of a unit, and
// for overrides.
func referenceID(u Unit, multiplier uint32) string {
	if multiplier <= 1 {
		return referenceIDs[u]
	}
	return referenceIDs[u] + "*" + strconv.FormatUint(uint64(multiplier), 10)
}

var referenceIDs = [...]string{
	Second: "u:second", Minute: "u:minute", Hour: "u:hour", Day: "u:day", Week: "u:week", Month: "u:month", Year: "u:year",
}
