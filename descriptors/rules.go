package descriptors

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// Rules is an immutable snapshot of all domains.
type Rules struct {
	domains map[string]*domain
	names   []string
	byID    map[string]*Limit
}

// newRules makes a snapshot of compiled domains.
func newRules(domains map[string]*domain) *Rules {
	r := &Rules{domains: domains, names: slices.Sorted(maps.Keys(domains)), byID: map[string]*Limit{}}
	for _, name := range r.names {
		for _, l := range domains[name].limits {
			r.byID[l.id] = l
		}
	}
	return r
}

// Domains names the domains that have rules, in order.
func (r *Rules) Domains() []string { return slices.Clone(r.names) }

// Limits are all limits of all domains, in order of domain, file and rule.
// Overrides are not among them.
func (r *Rules) Limits() []*Limit {
	var all []*Limit
	for _, name := range r.names {
		all = append(all, r.domains[name].limits...)
	}
	return all
}

// LimitByID is the limit of a [Limit.ID]. It is not found if no rule states it
// any more, or states it of another algorithm, nor if it came with a request.
func (r *Rules) LimitByID(id string) (l *Limit, found bool) {
	l, found = r.byID[id]
	return l, found
}

// Response is what a caller sees who is refused in a domain by no limit of it.
func (r *Rules) Response(domain string) *Response {
	if d, known := r.domains[domain]; known {
		return d.defaults.Response
	}
	return forms["plain"]
}

// Limit is one compiled limit of a rule, or of an override: also what a rule
// draws from a pool, and its circuit breaker.
//
// Limits that mean the same share their settings: 100,000 of them take 20 MB less, and
// a decision reads 64 bytes of its limit, and settings that are in the cache.
type Limit struct {
	*Settings
	Tally atomic.Pointer[Tally] // nil until its observer, of whom there is one, gives it one

	Name string // unique in its domain for `limits`; of a draw its class's; what metrics, headers and metadata call it
	id   string // of buckets.Charge.Limit, see ID
	key  string // of bucket keys, see limitID
	stat *statName
}

// Settings are what a limit is, whatever it is called. They never change.
type Settings struct {
	Domain string

	// Requests in each Period, as configured, for texts and Envoy's current_limit;
	// of a draw what its pool admits. Both are 0 for an unlimited rule and for what
	// is no rate: slots and breakers. See [Limit.CalendarUnit] for months and years.
	Requests int64
	Period   time.Duration
	Bucket   buckets.Bucket // nil if Unlimited
	Class    *buckets.Class // of the pool that Bucket is, nil if it is none or has only one class

	// Reference tells that the limit is one of the Reference dialect's: a rate_limit, or
	// an override. Unit is then the unit that it states, if it is limited.
	Reference bool
	Unit      Unit
	Metadata  *Metadata // that the rule states; nil if none

	Unlimited      bool
	Shadow         bool
	Quota          bool // refuses only where every quota that the request meets does, see [buckets.Quota]
	Disabled       bool // not met at all: listed only
	EnforcePercent int  // of its keys; for the others it is in shadow mode

	Exact bool // no replica takes its tokens ahead

	OnStoreError buckets.OnStoreError
	Response     *Response
	Weight       Weight

	MaxWait      time.Duration // how long a request may wait to be admitted, 0: not at all
	MaxWaiters   int           // how many may at a time, on one replica
	CountSuccess bool          // a failed request's tokens are to be given back

	share *share // of a pool, nil for what is none

	apart map[string]*Limit // what changes make of single buckets, by key

	named    bool     // by the file: what replaces can name
	replaces []string // names of limits that do not count beside it
}

// Stated is the name that the file gives the limit, empty if none.
func (l *Limit) Stated() string {
	if l.named {
		return l.Name
	}
	return ""
}

// ID identifies the limit in every replica that has the same rules, and after a
// change of anything but its name and algorithm. It may hold any bytes.
func (l *Limit) ID() string { return l.id }

// ChargeOn is a charge on one of the limit's buckets, of which the limit decides
// all but what is asked of it. classKey is that of the pool's class, if the limit
// is a draw; it is kept also where the pool has no classes, for it may have some
// when a receipt gives back. A pool is one limit of charges, whoever draws, and has
// its size of now.
func (l *Limit) ChargeOn(key, classKey string) buckets.Charge {
	l = l.of(key)
	c := buckets.Charge{Key: key, Limit: l.id, Bucket: l.Bucket, OnStoreError: l.OnStoreError, Exact: l.Exact}
	if l.share != nil {
		c.Limit, c.Class, c.ClassKey = l.share.pool.limit, l.Class, classKey
		if live := l.share.pool.sized.Load(); live != nil {
			c.Bucket, c.Class = live.bucket, live.class(l.share.class)
		}
	}
	return c
}

// of is the limit as it is for one of its buckets.
func (l *Limit) of(key string) *Limit {
	if own := l.apart[key]; own != nil {
		return own
	}
	return l
}

// Weight is how many tokens one hit costs: Default, or what Values says of the
// value of the entry By, where the request has one.
type Weight struct {
	By      string // empty: always Default
	Values  map[string]int64
	Default int64
}
