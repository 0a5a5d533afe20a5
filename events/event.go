// Package events tells the world what happens in weir: limits that refuse,
// breakers that move, rules that change. Nobody ever waits for it: what cannot be
// told in time is dropped and counted.
package events

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Event is one thing that happened. Its texts may be a client's; JSON, which all
// sinks write, escapes them.
type Event struct {
	Time   time.Time `json:"time"` // zero: when it is told
	Kind   Kind      `json:"kind"`
	Domain string    `json:"domain,omitempty"`
	Limit  string    `json:"limit,omitempty"` // or pool
	Text   string    `json:"text,omitempty"`  // one sentence for people

	Entries   []Entry           `json:"entries,omitempty"` // of the descriptor
	RequestID string            `json:"request_id,omitempty"`
	Fields    map[string]string `json:"fields,omitempty"` // what else there is to know
	Decision  *Decision         `json:"decision,omitempty"`

	// Suppressed is how many like it, of the same limit, were not told since the
	// last one that was: see [Sampler].
	Suppressed int64 `json:"suppressed,omitempty"`
	// Dropped is how many events this sink lost just before this one, of any kind.
	Dropped int64 `json:"dropped,omitempty"`
}

// Entry is one entry of a descriptor.
type Entry struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Kind says what happened.
type Kind string

const (
	LimitHit        Kind = "limit_hit"        // a limit refused a request
	BreakerMoved    Kind = "breaker_moved"    // a circuit breaker opened, is being tried, or closed
	LimitSet        Kind = "limit_set"        // a limit was changed while weir runs
	LimitUndone     Kind = "limit_undone"     // and is what the files state again
	RulesReloaded   Kind = "rules_reloaded"   // the rule files changed
	CapacityChanged Kind = "capacity_changed" // a pool has another size
	Decided         Kind = "decision"         // a call was answered: a line of the decision log
)

// Bounds of an event, in bytes and pieces: with them a full queue of the default
// length holds at most some 20 MB, and usually a hundredth of that.
const (
	maxText   = 1000
	maxName   = 200
	maxPieces = 20
)

// bounded is e within the bounds. It shares nothing with e that the caller could
// change.
func (e Event) bounded() Event {
	e.Domain, e.Limit, e.Text, e.RequestID = cut(e.Domain, maxName), cut(e.Limit, maxName), cut(e.Text, maxText), cut(e.RequestID, maxName)
	entries := make([]Entry, min(len(e.Entries), maxPieces))
	for i := range entries {
		entries[i] = Entry{cut(e.Entries[i].Key, maxName), cut(e.Entries[i].Value, maxName)}
	}
	e.Entries = entries
	if e.Fields != nil {
		names := slices.SortedFunc(maps.Keys(e.Fields), cmp.Compare[string])
		fields := make(map[string]string, min(len(names), maxPieces))
		for _, name := range names[:min(len(names), maxPieces)] {
			fields[cut(name, maxName)] = cut(e.Fields[name], maxName)
		}
		e.Fields = fields
	}
	if e.Decision != nil {
		e.Decision = e.Decision.bounded()
	}
	return e
}

// cut is at most the first bytes of s, as valid text. It is a copy where s is
// longer, so that nothing longer is kept.
func cut(s string, most int) string {
	if len(s) > most {
		s = strings.Clone(s[:most])
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
