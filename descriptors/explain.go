package descriptors

import (
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// Explanation tells what becomes of a request and why: the way of each descriptor
// through the rules, the limits that it meets and what they cost, and, filled in by
// who has asked the store, where the buckets stand and what Envoy would be answered.
// docs/how-to/explain.md is the reference of its JSON form.
//
// It tells nothing of values that the domain hides: neither those that the rules
// state, nor those that were sent, which read as they do in a log.
type Explanation struct {
	Domain      string           `json:"domain"`
	Matching    string           `json:"matching,omitempty"` // exact or best; empty where there are no rules to match
	Note        string           `json:"note,omitempty"`     // what is to be known of the request as a whole
	Remedy      string           `json:"remedy,omitempty"`
	Descriptors []ExplainedWay   `json:"descriptors"`
	Answer      *ExplainedAnswer `json:"answer,omitempty"` // nil: the buckets were not looked at
}

// ExplainedWay is the way of one descriptor.
type ExplainedWay struct {
	Entries []ExplainedEntry `json:"entries"`
	Rule    string           `json:"rule,omitempty"` // that it meets, or how far it came
	Limits  []ExplainedLimit `json:"limits,omitempty"`
	LeftOut []LeftOut        `json:"left_out,omitempty"` // limits of the rule that do not count

	// Of a descriptor that no rule limits: why, the nearest rule that would, the keys
	// of the entries that it lacks for that, and what to do.
	Why     string   `json:"why,omitempty"`
	Nearest string   `json:"nearest,omitempty"`
	Missing []string `json:"missing,omitempty"`
	Remedy  string   `json:"remedy,omitempty"`
}

// ExplainedEntry is one entry of a descriptor, and what it met.
type ExplainedEntry struct {
	Key      string       `json:"key"`
	Value    string       `json:"value"`
	By       EntryFate    `json:"by"`
	Rule     string       `json:"rule,omitempty"` // that it met, as key=value
	Compared []Comparison `json:"compared,omitempty"`
}

// EntryFate is what became of an entry.
type EntryFate string

const (
	ByExact    EntryFate = "exact"     // a rule states its value
	ByNetwork  EntryFate = "cidr"      // its value is an address of a rule's network
	ByPattern  EntryFate = "pattern"   // a * or a value_regex meets it
	ByKey      EntryFate = "key"       // a rule of the key alone
	ByFirstOf  EntryFate = "first_of"  // it is one of several of which the first counts
	Passive    EntryFate = "passive"   // takes no part in matching
	Unmet      EntryFate = "none"      // no rule meets it
	LeftOver   EntryFate = "left_over" // the rule, or the way, ended before it
	Overridden EntryFate = "override"  // a limit came with the descriptor
)

// Comparison is one kind of rule, or one pattern or network, that an entry was
// compared with, in the order in which rules win.
type Comparison struct {
	By    EntryFate `json:"by"`
	Rule  string    `json:"rule,omitempty"`  // empty where it stands for several
	Rules int       `json:"rules,omitempty"` // how many it stands for
	Met   bool      `json:"met"`
	Won   bool      `json:"won"`
}

// LeftOut is a limit of a rule that a descriptor met, and why it does not count.
type LeftOut struct {
	Limit string `json:"limit"`
	Why   string `json:"why"`
}

// ExplainedLimit is one limit that a descriptor meets.
type ExplainedLimit struct {
	Limit     string `json:"limit"`
	Pool      string `json:"pool,omitempty"` // that the limit draws from
	Algorithm string `json:"algorithm"`      // as rule files name it, or unlimited
	Requests  int64  `json:"requests,omitempty"`
	Period    string `json:"period,omitempty"` // in which Requests pass, in words
	Role      string `json:"role"`             // enforce, shadow or quota
	Mode      string `json:"mode"`             // take, look, refund or settle

	Hits     uint64 `json:"hits"`
	Weight   int64  `json:"weight"`
	WeightBy string `json:"weight_by,omitempty"` // the entry that decides the weight, as key=value or key alone if it is not sent
	Cost     int64  `json:"cost"`                // in tokens or slots

	Key          string `json:"key,omitempty"`       // of the bucket
	ClassKey     string `json:"class_key,omitempty"` // of what the class of a pool is guaranteed
	Shared       string `json:"shared,omitempty"`    // the patterns all of whose values have this one bucket
	Detail       string `json:"detail,omitempty"`    // by which metrics tell this request's values apart
	OnStoreError string `json:"on_store_error,omitempty"`
	MaxWait      Span   `json:"max_wait,omitempty"`

	Bucket *ExplainedBucket `json:"bucket,omitempty"` // nil: it was not looked at, or there is none
}

// ExplainedBucket is where a bucket stands before the request, and what it says to
// it.
type ExplainedBucket struct {
	Capacity  int64  `json:"capacity"` // as in a level: docs/reference/api.md
	Used      int64  `json:"used"`
	Remaining int64  `json:"remaining"`
	Reset     Span   `json:"reset"`
	State     string `json:"state,omitempty"` // of a breaker

	Admits   bool `json:"admits"`
	Borrowed bool `json:"borrowed,omitempty"` // from what other classes of the pool leave
	Refuses  bool `json:"refuses"`            // it is why the request does not pass
	Hopeless bool `json:"hopeless,omitempty"` // the cost is more than it ever admits
	Delay    Span `json:"delay,omitempty"`    // until it would admit, if nobody else asks
}

// ExplainedAnswer is what Envoy would be answered, if it asked now.
type ExplainedAnswer struct {
	Verdict    Verdict           `json:"verdict"`
	Reason     string            `json:"reason,omitempty"` // of a refusal: limit, unmatched or excess
	Limit      string            `json:"limit,omitempty"`  // that decided: which refuses, holds, or has the least left
	Descriptor int               `json:"descriptor"`       // that met it, counted from 0
	Wait       Span              `json:"wait,omitempty"`   // how long the request would be held
	Headers    []ExplainedHeader `json:"headers,omitempty"`
	Metadata   map[string]any    `json:"metadata,omitempty"` // of the rules that let their descriptors pass, for Envoy
	Body       string            `json:"body,omitempty"`     // that a refused caller reads
}

// Verdict is what becomes of a request.
type Verdict string

const (
	Allowed Verdict = "allow"
	Denied  Verdict = "deny"
	Waits   Verdict = "wait" // it would be held, and then pass
)

// ExplainedHeader is a header of the answer to the caller.
type ExplainedHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Span is a time that JSON shows as a text, as in 1m30s.
type Span time.Duration

// String is the time as in 1m30s.
func (s Span) String() string { return time.Duration(s).String() }

// MarshalText implements [encoding.TextMarshaler].
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = Span(d)
	return err
}

// Explain is [Rules.Resolve] with the reasons. The limits that it tells are those of
// the resolution, in the same order.
func (r *Rules) Explain(req *Request) (Explanation, Resolution) {
	found := r.Resolve(req)
	e := Explanation{Domain: req.Domain, Descriptors: []ExplainedWay{}}
	d := r.domains[req.Domain]
	switch {
	case d == nil:
		e.Note, e.Remedy = "no rule file states the domain "+quote(req.Domain)+": nothing limits the request", r.otherDomains(req.Domain)
		return e, found
	case d.disabled:
		e.Note, e.Remedy = "the domain is switched off (enabled: false): nothing limits the request", "write or set enabled: true"
		return e, found
	}
	e.Matching = "exact"
	if d.matchBest {
		e.Matching = "best"
	}
	replacers := d.replacers(req)
	for i := range req.Descriptors {
		e.Descriptors = append(e.Descriptors, d.explain(req, i, &found, replacers))
	}
	return e, found
}

// otherDomains tells which domains there are.
func (r *Rules) otherDomains(name string) string {
	if near := nearest(name, slices.Values(r.names)); near != "" {
		return "did you mean " + quote(near) + "?"
	}
	return "the domains are " + enumerate(r.names)
}

// replacers are the limits that replace others, by the names of these, whether they
// count themselves or not.
func (d *domain) replacers(req *Request) map[string]string {
	by := map[string]string{}
	if !d.replaces {
		return by
	}
	var all Resolution
	for i := range req.Descriptors {
		d.resolve(req, i, &all)
	}
	for _, m := range all.Matches {
		for _, name := range m.Limit.replaces {
			by[name] = m.Limit.Name
		}
	}
	return by
}

// explain tells the way of descriptor i, and which of found it meets.
func (d *domain) explain(req *Request, i int, found *Resolution, replacers map[string]string) ExplainedWay {
	desc := &req.Descriptors[i]
	w := ExplainedWay{Entries: []ExplainedEntry{}}
	for k := range found.Matches {
		if found.Matches[k].Descriptor == i {
			w.Limits = append(w.Limits, d.explainLimit(req, &found.Matches[k]))
		}
	}
	if desc.Override != nil {
		if l, ok := d.override(desc.Override); ok {
			for k := range desc.Entries {
				fate := Overridden
				if d.isPassive(desc.Entries[k].Key) {
					fate = Passive
				}
				w.Entries = append(w.Entries, d.entry(&desc.Entries[k], fate))
			}
			w.Rule = "the limit of " + rateText(l.Requests, l.Period) + " that came with the descriptor"
			return w
		}
	}
	n, way, active := d.find(desc.Entries, nil)
	if n == nil && d.matchBest { // then the way on which nobody goes back tells most
		_, way, _ = d.walk(desc.Entries, nil)
	}
	t := trace{domain: d, entries: desc.Entries, way: way, partly: n != nil && d.matchBest}
	t.run()
	w.Entries, w.Rule = t.told, strings.Join(t.rules, "/")
	switch {
	case !active:
		w.Why = "all its entries are passive: there is nothing that a rule could meet"
		if len(desc.Entries) == 0 {
			w.Why = "it has no entries"
		}
	case n == nil || !n.states:
		d.whyNone(&w, n, &t)
	default:
		w.LeftOut = d.leftOut(req, i, n, found, replacers)
	}
	return w
}

// leftOut are the limits of a rule that a descriptor met and that are not among those
// that were found.
func (d *domain) leftOut(req *Request, i int, n *node, found *Resolution, replacers map[string]string) (out []LeftOut) {
	_, mode := d.hits(req, i)
	for k := range n.limits {
		l := &n.limits[k]
		if slices.ContainsFunc(found.Matches, func(m Match) bool { return m.Descriptor == i && m.Limit.id == l.id }) {
			continue
		}
		why := "it is switched off (enabled: false)"
		switch by, replaced := replacers[l.Stated()]; {
		case l.Disabled:
		case !l.takes(mode):
			why = "slots and breakers are given back and told by receipts alone, not by what a request gives back or settles"
		case replaced && l.named:
			why = quote(by) + " replaces it"
		}
		out = append(out, LeftOut{l.Name, why})
	}
	return out
}

// explainLimit tells what a match costs, and where.
func (d *domain) explainLimit(req *Request, m *Match) ExplainedLimit {
	l := m.Limit
	hits, mode := d.hits(req, m.Descriptor)
	e := ExplainedLimit{
		Limit: l.Name, Requests: l.Requests, Period: l.PeriodText(), Hits: hits, Weight: d.weight(l.Weight, req, m.Descriptor),
		Role: [...]string{buckets.Enforce: "enforce", buckets.Shadow: "shadow", buckets.Quota: "quota"}[m.Charge.Role],
		Mode: [...]string{buckets.Take: "take", buckets.Look: "look", buckets.Refund: "refund", buckets.Settle: "settle"}[mode],
		Cost: m.Charge.Cost, Key: m.Charge.Key, Shared: l.SharedBy(),
	}
	if l.Detailed() {
		e.Detail = l.StatName(Redaction{d.hash}.Entries(req.Descriptors[m.Descriptor].Entries))
	}
	if by := l.Weight.By; by != "" {
		e.WeightBy = by
		if value, sent := req.value(m.Descriptor, by); sent {
			e.WeightBy = by + "=" + d.told(by, value)
		}
	}
	if l.Unlimited {
		e.Cost, e.Weight, e.WeightBy = 0, 0, ""
		return e
	}
	if _, ok := l.Bucket.(buckets.Breaker); ok {
		e.Weight, e.WeightBy = 1, "" // it counts requests
	}
	if l.share != nil && l.share.pool.plan != nil {
		e.Pool, e.ClassKey = l.share.pool.plan.stated.Name, m.Charge.ClassKey
		if m.Charge.Class == nil {
			e.ClassKey = ""
		}
	}
	e.OnStoreError, e.MaxWait = m.Charge.OnStoreError.String(), Span(l.MaxWait)
	return e
}

// told is the value of an entry that was sent, as others than its sender may read
// it.
func (d *domain) told(key, value string) string {
	return Redaction{d.hash}.Entries([]Entry{{key, value}})[0].Value
}

// entry is what became of an entry that was sent.
func (d *domain) entry(e *Entry, fate EntryFate) ExplainedEntry {
	return ExplainedEntry{Key: e.Key, Value: d.told(e.Key, e.Value), By: fate}
}
