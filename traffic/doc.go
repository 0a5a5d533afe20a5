// Package traffic tells what happened on this replica in the last minutes: of the
// service, of each limit, and which keys use a limit most. It is for people who look, and
// not for metrics, which are kept elsewhere and for longer: all of it is in memory, of
// this replica alone, and bounded whatever clients send.
package traffic

import "time"

// What is kept, and for how long.
const (
	// MaxLimits is how many limits are followed at a time, those that requests met
	// first. One that none met for [IdleAfter] gives its place to others that are met.
	MaxLimits = 500
	IdleAfter = 10 * time.Minute

	// Seconds are the steps of a second, and Tens those of ten seconds.
	Seconds = 300
	Tens    = 360
	// MaxKeys is how many keys of a limit are counted at a time: see [Keys].
	MaxKeys = 64
	// Generation is how long keys are counted until counting begins anew. The one
	// before is shown beside it, so that what is shown is of the last one or two.
	Generation = 5 * time.Minute

	// MaxStreams is how many streams there may be at a time.
	MaxStreams = 32
)

// Counts are what became of the requests that met a limit. One whose request was given
// back, or settled, is none, though what it settles is among the tokens.
type Counts struct {
	Admitted int64 `json:"admitted"`
	Waited   int64 `json:"waited"`  // those admitted that were held first
	Refused  int64 `json:"refused"` // by this limit
	// ShadowRefused are those that it did not admit and that went on all the same: it is
	// in shadow mode, or is a quota and another one had room.
	ShadowRefused int64 `json:"shadow_refused"`
	NotCharged    int64 `json:"not_charged"` // it would have admitted them, but another limit refused
	Tokens        int64 `json:"tokens"`      // charged
}

// ServiceCounts are what became of calls.
type ServiceCounts struct {
	Admitted    int64 `json:"admitted"`
	Refused     int64 `json:"refused"`
	Errors      int64 `json:"errors"`
	Waited      int64 `json:"waited"`       // held, whatever became of them
	Degraded    int64 `json:"degraded"`     // limits decided without the store
	StoreErrors int64 `json:"store_errors"` // calls to the store that failed

	// The time in which so many of all calls were answered, in seconds, at most an eighth
	// too high; 0 if there were none. What callers wait for tokens is part of it.
	P50  float64 `json:"p50_seconds"`
	P99  float64 `json:"p99_seconds"`
	P999 float64 `json:"p999_seconds"`
}

// Series are counts in equal steps, oldest first. The last ends at End. There are fewer
// than are kept if this replica has not run so long.
type Series[T any] struct {
	Step  float64   `json:"step_seconds"`
	End   time.Time `json:"end"`
	Steps []T       `json:"steps"`
}

// Overview is what happened on this replica: of the service all, of limits the gist. It
// is the answer of GET /api/v1/traffic.
type Overview struct {
	Now     time.Time `json:"now"`
	Service Service   `json:"service"`
	Limits  []Limit   `json:"limits"` // those that are followed, in order of domain and name
	// Unfollowed tells that requests meet limits that are not among them, because
	// MaxLimits are.
	Unfollowed bool `json:"unfollowed"`
}

// State is where the service stands.
type State struct {
	Waiting int    `json:"waiting"` // requests that are held
	Store   string `json:"store"`   // "up", or "down": the breaker is open, and it is not asked
}

// Service is what happened to all calls.
type Service struct {
	State
	Last    ServiceCounts         `json:"last_second"`
	Minute  ServiceCounts         `json:"last_minute"`
	Seconds Series[ServiceCounts] `json:"seconds"`
	Hour    Series[ServiceCounts] `json:"hour"`
}

// Limit is what happened at one limit, in short.
type Limit struct {
	Domain string `json:"domain"`
	Limit  string `json:"limit"` // as in metrics
	Last   Counts `json:"last_second"`
	Minute Counts `json:"last_minute"`
	// Spark has admitted and refused requests of the last five minutes, in steps of ten
	// seconds: those refused are those of Refused and ShadowRefused.
	Spark Spark `json:"spark"`
}

// Spark is a small chart, oldest first.
type Spark struct {
	Step     float64 `json:"step_seconds"`
	Admitted []int64 `json:"admitted"`
	Refused  []int64 `json:"refused"`
}

// Detail is what happened at one limit. It is the answer of
// GET /api/v1/traffic/limits/NAME.
type Detail struct {
	Limit
	Now     time.Time      `json:"now"`
	Seconds Series[Counts] `json:"seconds"`
	Hour    Series[Counts] `json:"hour"`
	Keys    Keys           `json:"keys"`
}

// Keys are those that use a limit most, first those with most hits. Which they are is
// found by the space-saving algorithm with [MaxKeys] counters: a key with more than
// MaxError hits is among them, and none has fewer hits than Hits - Error or more than Hits.
//
// Of a limit that is met more than some thousand times a second one hit in OneIn is
// looked at and counts for as many. Then all of that is an estimate.
type Keys struct {
	Since    time.Time `json:"since"` // when counting began
	Hits     int64     `json:"hits"`  // of all keys
	MaxError int64     `json:"max_error"`
	OneIn    int64     `json:"one_in"` // at most; 1: all hits were looked at
	Top      []Key     `json:"top"`
}

// Key is one bucket of a limit, by the entries that it is of.
type Key struct {
	// Text is for people: the entries as key=value, with what is not printable escaped,
	// cut to a readable length. Values that the domain hides are as in events.
	Text    string  `json:"text"`
	Entries []Entry `json:"entries"`
	Hits    int64   `json:"hits"`  // requests that met the limit with this key, Error too many at most
	Error   int64   `json:"error"` // hits of other keys that may be among Hits
	// Refused and Tokens are those of the hits that are certainly this key's.
	Refused int64 `json:"refused"` // in shadow mode too
	Tokens  int64 `json:"tokens"`
}

// Entry is one entry of a key.
type Entry struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	// Hidden tells that Value is a short hash, of a value that is hidden or too long:
	// nothing can be set for it.
	Hidden bool `json:"hidden,omitempty"`
}

// Event is what GET /api/v1/traffic/stream tells each second, as the data of a
// server-sent event of the type traffic.
type Event struct {
	Time time.Time `json:"time"` // the end of the second
	State
	Service ServiceCounts `json:"service"`
	Limits  []LimitEvent  `json:"limits"` // those that were met, at most 100: those that refused most, then those met most
	LeftOut int           `json:"left_out,omitempty"`
}

// LimitEvent is what happened at a limit in a second.
type LimitEvent struct {
	Domain string `json:"domain"`
	Limit  string `json:"limit"`
	Counts
}
