package descriptors

import "github.com/weir-rls/weir/buckets"

// Request is what a caller asks, in the terms of Envoy's rate limit service but
// free of its wire format.
type Request struct {
	Domain      string
	Descriptors []Descriptor
	Hits        uint64 // for descriptors that bring none of their own; 0 counts as 1
}

// Descriptor is a list of entries, most general first, that may meet a rule.
type Descriptor struct {
	Entries  []Entry
	HasHits  bool // Hits was sent with the descriptor, 0 included
	Hits     uint64
	Negative bool // gives Hits back instead of taking them
	Override *Override
}

// Entry is one key and value of a descriptor. Both may hold any bytes.
type Entry struct{ Key, Value string }

// Override is a limit that came with the descriptor and stands in for the tree's.
type Override struct {
	Requests   uint32
	Unit       Unit
	Multiplier uint32 // the period is Multiplier units; 0 counts as 1
}

// Unit is a period that Envoy's API can name.
type Unit uint8

const (
	UnknownUnit Unit = iota
	Second
	Minute
	Hour
	Day
	Week
	Month
	Year
)

// Match is one limit that one descriptor of a request meets.
type Match struct {
	Descriptor int // index in Request.Descriptors
	Limit      *Limit
	Charge     buckets.Charge // empty if Limit.Unlimited
}

// Resolution is what the rules make of a request.
type Resolution struct {
	KnownDomain   bool
	Matches       []Match   // in order of descriptors, then of the rule's limits
	Unmatched     []int     // descriptors that no rule limits, by index; those of passive entries alone are not among them
	DenyUnmatched bool      // what the domain says of them
	Response      *Response // what a caller sees who is refused by no limit
	RequestID     string    // of the passive entry request_id, as the client sent it
	Redaction     Redaction // of the domain
	BadOverrides  int       // overrides that were ignored: their unit is unknown or their rate inexact
}
