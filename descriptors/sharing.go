package descriptors

import "strings"

// counting reads what a rule says of the series and the buckets that it is counted in,
// and what it has responses repeat.
func (w *walker) counting(fields map[string]field, r *rule) {
	r.detailed = w.stated("detailed_metric", fields)
	r.valueToMetric = w.stated("value_to_metric", fields)
	if f, ok := fields["share_threshold"]; ok {
		on, _ := w.boolean(f)
		r.shared = on && r.isPattern()
		if on && !r.shared {
			w.fail(f.key, `remove it, or state a pattern, as in value: "a*"`, "share_threshold needs a pattern: the descriptor has no * in its key or value")
		}
	}
	f, ok := fields["metadata"]
	if !ok {
		return
	}
	m := w.metadata(f)
	for _, s := range r.limits {
		s.limit.Metadata = m
	}
	if m != nil && len(r.limits) == 0 {
		w.warn(f.key, "write it where the limit is", "metadata means nothing on a descriptor without a limit")
	}
}

// stated is a field that is true or false, and false where it is not there.
func (w *walker) stated(name string, fields map[string]field) bool {
	f, ok := fields[name]
	if !ok {
		return false
	}
	on, _ := w.boolean(f)
	return on
}

// isPattern tells that values, or keys, of a pattern meet r.
func (r *rule) isPattern() bool {
	return r.kind == globValue || r.kind == regexValue || r.firstOf == nil && strings.Contains(r.key, "*")
}

// sharedStep is the step of every entry that meets r: what is the same for all values,
// signed as no entry's own value is.
func (r *rule) sharedStep() (text string, sign byte) {
	switch {
	case r.kind == regexValue && !strings.Contains(r.key, "*"):
		return r.text, sharedRegexStep
	case !strings.Contains(r.key, "*"):
		return r.text, sharedStep
	case r.kind == regexValue:
		return r.key + "=~" + r.text, sharedKeyStep
	}
	return r.statText(), sharedKeyStep
}
