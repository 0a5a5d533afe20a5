package events

// Decision is what the decision log says of one call, beside the event's Domain, Limit (the
// one that refused, else the one with the least left) and RequestID. What does not apply
// is left out.
type Decision struct {
	Verdict     string    `json:"verdict"`                    // ok, over_limit or error
	Reason      string    `json:"reason,omitempty"`           // why it was refused: limit, unmatched, excess or overload
	Remaining   *int64    `json:"remaining,omitempty"`        // whole tokens that the limit has left
	Seconds     float64   `json:"duration_seconds"`           // from the request to its answer
	Waited      bool      `json:"waited,omitempty"`           // it was held for its tokens
	Degraded    string    `json:"degraded,omitempty"`         // local, allow or deny: the store was not asked
	Descriptors [][]Entry `json:"descriptors,omitempty"`      // as the client sent them but for values that are hidden
	TraceID     string    `json:"trace_id,omitempty"`         // of the trace that the call is part of, if it is sampled
	Further     int       `json:"more_descriptors,omitempty"` // that are left out here
}

// bounded is d within the bounds of an event.
func (d *Decision) bounded() *Decision {
	b := *d
	b.Descriptors = make([][]Entry, min(len(d.Descriptors), maxPieces))
	pieces := 0
	for i := range b.Descriptors {
		for _, e := range d.Descriptors[i][:min(len(d.Descriptors[i]), maxPieces-pieces)] {
			b.Descriptors[i] = append(b.Descriptors[i], Entry{cut(e.Key, maxName), cut(e.Value, maxName)})
			pieces++
		}
		if pieces == maxPieces {
			b.Descriptors = b.Descriptors[:i+1]
			break
		}
	}
	b.Further += len(d.Descriptors) - len(b.Descriptors)
	return &b
}
