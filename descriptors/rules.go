package descriptors

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// Rules is an immutable snapshot of all domains.
type Rules struct {
	domains map[string]*domain
	names   []string
	limits  []*Limit
}

// newRules makes a snapshot of compiled domains.
func newRules(domains map[string]*domain) *Rules {
	r := &Rules{domains: domains, names: slices.Sorted(maps.Keys(domains))}
	for _, name := range r.names {
		r.limits = append(r.limits, domains[name].limits...)
	}
	return r
}

// Domains names the domains that have rules, in order.
func (r *Rules) Domains() []string { return slices.Clone(r.names) }

// Limits are all limits of all domains, in order of domain, file and rule.
// Overrides are not among them.
func (r *Rules) Limits() []*Limit { return slices.Clone(r.limits) }

// Limit is one compiled limit of a rule, or of an override.
type Limit struct {
	Name   string // unique in its domain for `limits`; what metrics, headers and metadata call it
	Domain string

	// Requests in each Period, as configured, for texts and Envoy's
	// current_limit. Period is 0 for an unlimited rule.
	Requests int64
	Period   time.Duration
	Bucket   buckets.TokenBucket

	Unlimited      bool
	Shadow         bool
	Disabled       bool // not met at all: listed only
	EnforcePercent int  // of its keys; for the others it is in shadow mode

	OnStoreError buckets.OnStoreError
	Response     Response
	Weight       Weight

	id  string // buckets.Charge.Limit: by domain and name, and by path where names repeat
	key string // of bucket keys, see limitID

	stated   string   // the name that the file gives it, empty if none: what replaces can name
	replaces []string // names of limits that do not count beside it
}

// PeriodText is the period in its largest whole unit, as in "day" or "2 weeks",
// or as a duration where it has none.
func (l *Limit) PeriodText() string {
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"week", week}, {"day", day}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		switch n := l.Period / u.unit; {
		case l.Period%u.unit != 0:
		case n == 1:
			return u.name
		default:
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return l.Period.String()
}

// Response is the template of what a refused caller sees.
type Response uint8

const (
	PlainResponse Response = iota
	OpenAIResponse
)

// Weight is how many tokens one hit costs: Default, or what Values says of the
// value of the entry By, where the request has one.
type Weight struct {
	By      string // empty: always Default
	Values  map[string]int64
	Default int64
}
