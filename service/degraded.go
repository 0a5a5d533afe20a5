package service

// DegradedStyle says where an answer tells that it was found without the bucket store.
type DegradedStyle uint8

const (
	DegradedHidden     DegradedStyle = iota
	DegradedInHeader                 // X-RateLimit-Degraded of the response to the client
	DegradedInMetadata               // degraded, of the filter's dynamic metadata
)

// degraded is by what a request was decided whose limits could not be asked: "deny" or
// "allow" of on_store_error, "local" memory, or "" if the store judged it.
func (v *verdict) degraded() string {
	by := ""
	for i := range v.met {
		m := &v.met[i]
		switch {
		case m.Blind && m.refuses:
			return "deny"
		case m.Blind && !v.over && m.Charge.Asks():
			by = "allow"
		case m.Alone && by == "":
			by = "local"
		}
	}
	return by
}

// appendDegraded appends what tells of an answer without the store, where style says.
func (v *verdict) appendDegraded(b []byte) []byte {
	if v.tells == DegradedHidden {
		return b
	}
	by := v.degraded()
	switch {
	case by == "":
		return b
	case v.tells == DegradedInHeader:
		return header{"X-RateLimit-Degraded", by}.appendTo(b)
	}
	return appendMetadata(b, metadata{"degraded", by})
}
