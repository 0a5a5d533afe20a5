package descriptors

import (
	"slices"
	"strings"
)

// statName is what a limit is called in the reference service's statistics.
type statName struct {
	plain   string              // of rules whose name no value is part of
	levels  []statLevel         // of others: those of the rule's way
	whole   bool                // with all keys and values: of detailed_metric, and of overrides
	sharing string              // the patterns under share_threshold, as rules write them
	bare    bool                // a whole one has no _ where a value is empty
	passive map[string]struct{} // the domain's
}

// statLevel is one rule of a way.
type statLevel struct {
	text   string // of its key, and of the value that it states
	value  bool   // value_to_metric: the value that was sent stands in its place
	shared bool   // share_threshold: its text stands even where all values do
}

// StatName is what the limit is called in the statistics of the reference service, below
// those of its domain, for a descriptor of entries: the keys and values of the rules on
// its way, joined by dots. Under detailed_metric and value_to_metric, and for an override,
// values are among them as the client sent them, of any bytes and any length: who counts
// by the name has to bound both. In the Weir dialect a limit whose rules ask for nothing
// of that kind is called by its Name.
func (l *Limit) StatName(entries []Entry) string {
	switch s := l.stat; {
	case s == nil:
		return l.Name
	case !l.StatNameSent():
		return s.plain
	default:
		return s.of(entries)
	}
}

// StatNameSent tells whether [Limit.StatName] has what a client sent in it, and not rules
// alone.
func (l *Limit) StatNameSent() bool { return l.stat != nil && (l.stat.levels != nil || l.stat.whole) }

// StatPath is what the limit is called there before anybody sent a value: by the keys of
// the rules on its way and the values that they state.
func (l *Limit) StatPath() string {
	if l.stat == nil {
		return l.Name
	}
	return l.stat.plain
}

// Detailed tells that [Limit.StatName] is different for values that clients send, because a
// rule asks for that: detailed_metric or value_to_metric.
func (l *Limit) Detailed() bool { return l.stat != nil && l.stat.levels != nil }

// DetailedBy is the field because of which the limit is [Limit.Detailed], empty if it is not.
func (l *Limit) DetailedBy() string {
	switch {
	case !l.Detailed():
		return ""
	case l.stat.whole:
		return "detailed_metric"
	default:
		return "value_to_metric"
	}
}

// SharedBy names the patterns all of whose values share a bucket of the limit, because
// their rules state share_threshold; empty if there is none.
func (l *Limit) SharedBy() string {
	if l.stat == nil {
		return ""
	}
	return l.stat.sharing
}

func (s *statName) of(entries []Entry) string {
	var b strings.Builder
	part := func(text string) {
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(text)
	}
	sent := func(e *Entry, bare bool) {
		part(e.Key)
		if e.Value != "" || !bare {
			b.WriteByte('_')
			b.WriteString(e.Value)
		}
	}
	level := 0
	for i := range entries {
		e := &entries[i]
		if _, passive := s.passive[e.Key]; passive {
			continue
		}
		switch {
		case level < len(s.levels) && s.levels[level].shared:
			part(s.levels[level].text)
		case s.whole:
			sent(e, s.bare)
		case level >= len(s.levels):
		case s.levels[level].value:
			sent(e, true)
		default:
			part(s.levels[level].text)
		}
		level++
	}
	return b.String()
}

// statName names a limit that stands at the end of a way; nil if nothing asks for it.
func (c *compiler) statName(s *limitSpec, way path, several bool) *statName {
	last := way.rules[len(way.rules)-1]
	varies := slices.ContainsFunc(way.rules, func(r *rule) bool { return r.valueToMetric || r.shared })
	if c.dialect != Reference && !varies && !last.detailed {
		return nil
	}
	n := &statName{whole: last.detailed, passive: c.domain.passive}
	var texts, patterns []string
	for _, r := range way.rules {
		texts = append(texts, r.statText())
		n.levels = append(n.levels, statLevel{r.statText(), r.valueToMetric && (r.kind != oneValue || r.isPattern()), r.shared})
		if n.bare = n.bare || r.shared; r.shared {
			patterns = append(patterns, strings.TrimSuffix(r.key+"="+r.text, "="))
		}
	}
	n.sharing = strings.Join(patterns, ", ")
	if n.plain = strings.Join(texts, "."); !s.reference && (s.name != "" || several) {
		n.plain += "." + limitWord(s)
	}
	// Entries of a first_of do not stand one by one for the rules of a way.
	switch first := slices.ContainsFunc(way.rules, func(r *rule) bool { return r.firstOf != nil }); {
	case n.whole && first:
		n.levels = n.levels[:0]
	case !n.whole && (first || !slices.ContainsFunc(n.levels, func(l statLevel) bool { return l.value })):
		n.levels = nil
	}
	return n
}

// limitWord tells a limit of weir's form from others of its descriptor.
func limitWord(s *limitSpec) string {
	if s.name != "" {
		return s.name
	}
	return s.algorithm
}

// statText is a rule's key, and the value that it states.
func (r *rule) statText() string {
	if r.kind == anyValue {
		return r.key
	}
	return r.key + "_" + r.text
}
