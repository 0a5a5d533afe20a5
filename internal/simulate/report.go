package simulate

import (
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// Report is what a simulation found. docs/how-to/simulate.md is the reference of its
// JSON form.
type Report struct {
	Trace    TraceReport   `json:"trace"`
	Requests Counts        `json:"requests"`
	Refused  RefusedFor    `json:"refused_for"`
	NoLimit  int64         `json:"descriptors_without_limit"` // requests with one that no rule limits
	NoDomain int64         `json:"unknown_domain"`            // requests of a domain without rules
	Peak     Peak          `json:"peak"`
	Limits   []LimitReport `json:"limits"`
	NeverMet []string      `json:"limits_never_met,omitempty"`
	Course   *Course       `json:"course,omitempty"`
	TopKeys  []KeyReport   `json:"top_refused,omitempty"`
	Notes    []string      `json:"notes,omitempty"`
	Against  *Comparison   `json:"against,omitempty"`
	Stopped  bool          `json:"stopped,omitempty"` // before the trace had ended
}

// TraceReport tells what the trace was.
type TraceReport struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	NotAsked int64     `json:"without_descriptor,omitempty"` // requests for which Envoy would have asked nobody
	BadLines int64     `json:"bad_lines,omitempty"`          // that were skipped
	FirstBad string    `json:"first_bad_line,omitempty"`
	Late     int64     `json:"out_of_order,omitempty"` // requests that were judged later than they were asked
	Latest   float64   `json:"out_of_order_seconds,omitempty"`
}

// Counts are what became of requests.
type Counts struct {
	Requests    int64   `json:"requests"`
	Admitted    int64   `json:"admitted"` // those that waited included
	Refused     int64   `json:"refused"`
	Waited      int64   `json:"waited"`
	WaitSeconds float64 `json:"wait_seconds"` // of all together
	LongestWait float64 `json:"longest_wait_seconds"`
}

// RefusedFor counts refusals by their reason.
type RefusedFor struct {
	Limit     int64 `json:"limit"`
	Unmatched int64 `json:"unmatched"`
	Excess    int64 `json:"excess"`
}

// Peak is the second with the most requests.
type Peak struct {
	PerSecond int64     `json:"requests_per_second"`
	At        time.Time `json:"at"`
}

// LimitReport is what became of the requests that met a limit. What it admitted, refused
// and left to others adds up to Requests.
type LimitReport struct {
	Domain string `json:"domain"`
	Limit  string `json:"limit"`
	Admits string `json:"admits,omitempty"` // in words
	Counts
	OtherRefused  int64       `json:"other_limit_refused"` // it would have admitted them
	ShadowRefused int64       `json:"shadow_refused"`      // it is in shadow mode, and would have refused them
	OtherQuota    int64       `json:"other_quota"`         // it was used up, and another quota admitted them
	Borrowed      int64       `json:"borrowed"`            // of those admitted, from what other classes of the pool left
	Tokens        int64       `json:"tokens"`
	Peak          Peak        `json:"peak"`
	Course        *Course     `json:"course,omitempty"`
	TopKeys       []KeyReport `json:"top_refused,omitempty"`
}

// Course is what was admitted and refused over time, in parts of one length.
type Course struct {
	From        time.Time `json:"from"`
	To          time.Time `json:"to"` // of the last request, within the last part
	PartSeconds float64   `json:"part_seconds"`
	Admitted    []int64   `json:"admitted"`
	Refused     []int64   `json:"refused"`
}

// KeyReport is a descriptor that was refused often, at most Over times fewer than Count.
type KeyReport struct {
	Descriptor string `json:"descriptor"`
	Count      int64  `json:"refused"`
	Over       int64  `json:"at_most_fewer"`
}

// Comparison is how the verdicts differ from those of other rules.
type Comparison struct {
	Requests    Counts        `json:"requests"`
	NowRefused  int64         `json:"now_refused"`
	NowAdmitted int64         `json:"now_admitted"`
	Longer      int64         `json:"longer_wait"`
	Shorter     int64         `json:"shorter_wait"`
	OtherLimit  int64         `json:"refused_by_another_limit"`
	Limits      []LimitChange `json:"limits"` // that differ
	Changes     []Change      `json:"changes,omitempty"`
}

// LimitChange is a limit by both rules; nil where the rules do not have it, or no request met it.
type LimitChange struct {
	Domain string       `json:"domain"`
	Limit  string       `json:"limit"`
	Before *LimitReport `json:"before"`
	After  *LimitReport `json:"after"`
}

// Change is a request that gets another verdict.
type Change struct {
	Line        int64          `json:"line"`
	At          time.Time      `json:"at"`
	Descriptors []string       `json:"descriptors"`
	Before      ChangedVerdict `json:"before"`
	After       ChangedVerdict `json:"after"`
}

// ChangedVerdict is what one of the rules said.
type ChangedVerdict struct {
	Verdict     descriptors.Verdict `json:"verdict"`
	Limit       string              `json:"limit,omitempty"`
	Reason      string              `json:"reason,omitempty"`
	WaitSeconds float64             `json:"wait_seconds,omitempty"`
	Why         string              `json:"why,omitempty"`
}

// Names are how a reader calls what was simulated.
type Names struct{ Rules, Against, Trace, Row string }

// Column is a part of the time that is drawn: requests in a second.
type Column struct {
	From              time.Time
	Seconds           float64
	Admitted, Refused float64
}

// Columns make parts of a course so long that there are at most so many. The last is as
// long as the trace is.
func (c *Course) Columns(most int) (all []Column) {
	each := max(1, (len(c.Admitted)+most-1)/most)
	for i := 0; i < len(c.Admitted); i += each {
		one := Column{From: c.From.Add(time.Duration(float64(i) * c.PartSeconds * 1e9)), Seconds: c.PartSeconds * float64(each)}
		if left := c.To.Sub(one.From).Seconds(); left < one.Seconds && i > 0 {
			one.Seconds = max(left, one.Seconds/2)
		}
		for k := i; k < min(i+each, len(c.Admitted)); k++ {
			one.Admitted, one.Refused = one.Admitted+float64(c.Admitted[k])/one.Seconds, one.Refused+float64(c.Refused[k])/one.Seconds
		}
		all = append(all, one)
	}
	return all
}
