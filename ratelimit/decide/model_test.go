package decide

import (
	"maps"
	"math"
	"slices"
	"strings"
)

// The model is the reference service as its users know it, written from what is documented
// of it and from nothing of weir: it finds rules in a tree of joined keys, counts in
// windows that it names itself, and knows no store.

// modelUnits are the lengths of units in seconds, by their numbers in Envoy's API.
var modelUnits = map[int32]int64{1: 1, 2: 60, 3: 3600, 4: 86400, 7: 7 * 86400, 5: 30 * 86400, 6: 365 * 86400}

var modelUnitNames = map[int32]string{1: "second", 2: "minute", 3: "hour", 4: "day", 7: "week", 5: "month", 6: "year"}

type modelRule struct {
	key, value string
	limit      *modelLimit
	children   []*modelRule

	shadow, quota, share, detailed, valueToMetric bool
	metadata                                      map[string]any
}

type modelLimit struct {
	unit       int32
	multiplier int64 // 0 and 1: one unit
	requests   uint32
	unlimited  bool
	name       string
	replaces   []string
}

// joined is the key of a rule, or of an entry, in the tree.
func joined(key, value string) string {
	if value == "" {
		return key
	}
	return key + "_" + value
}

type modelSettings struct {
	stop, shadow, quota, cache, perSecond, headers bool

	ratio float32
}

type modelEntry struct{ key, value string }

type modelDescriptor struct {
	entries  []modelEntry
	hits     *uint64
	negative bool
	override *modelLimit
}

type modelStatus struct {
	over      bool
	remaining uint32
	limit     *modelLimit // nil: no current_limit
	reset     int64
}

type modelAnswer struct {
	over     bool
	statuses []modelStatus
	headers  []string
	metadata map[string]any // merged of what passed
}

// modelCount is what the statistics of one limit say.
type modelCount struct{ total, over, near, overCached, within, shadow, negative uint64 }

type model struct {
	settings modelSettings
	root     []*modelRule
	now      float64          // seconds
	counts   map[string]int64 // by bucket and window
	cached   map[string]int64 // likewise: the count that was above a limit
	stats    map[string]*modelCount
	shadowed uint64
}

func newModel(s modelSettings, root []*modelRule) *model {
	return &model{settings: s, root: root, counts: map[string]int64{}, cached: map[string]int64{}, stats: map[string]*modelCount{}}
}

// modelMet is the limit that a descriptor meets.
type modelMet struct {
	*modelLimit
	rule   *modelRule // nil: it is an override
	bucket string     // with its window
	stat   string
	hits   uint64
	cost   int64
	cached bool
	exceed bool
	after  int64
}

// find is the rule that entries meet: of each entry the exact one, else the first pattern
// in the order of the file, else the one of the key alone, with no way back.
func (m *model) find(entries []modelEntry) (rules []*modelRule, way []string) {
	level := m.root
	for _, e := range entries {
		var found *modelRule
		for _, r := range level {
			if r.value != "" && joined(r.key, r.value) == joined(e.key, e.value) && !strings.Contains(joined(r.key, r.value), "*") {
				found = r
			}
		}
		for _, r := range level {
			if text := joined(r.key, r.value); found == nil && strings.Contains(text, "*") && modelGlob(text, e.key+"_"+e.value) {
				found = r
			}
		}
		for _, r := range level {
			if found == nil && r.value == "" && r.key == e.key {
				found = r
			}
		}
		if found == nil {
			return nil, nil
		}
		text := e.key + "\x00" + e.value
		if found.share {
			text = e.key + "\x00*\x00" + joined(found.key, found.value)
		}
		rules, way, level = append(rules, found), append(way, text), found.children
	}
	return rules, way
}

// modelName is what statistics call a limit at the end of a way of rules that entries came.
func modelName(rules []*modelRule, entries []modelEntry) string {
	detailed := rules[len(rules)-1].detailed
	anyShared := slices.ContainsFunc(rules, func(r *modelRule) bool { return r.share })
	var parts []string
	for i, r := range rules {
		e, text := entries[i], joined(r.key, r.value)
		varies := r.value == "" || strings.Contains(text, "*")
		switch {
		case r.share:
		case detailed && !anyShared:
			text = e.key + "_" + e.value
		case detailed, r.valueToMetric && varies:
			text = joined(e.key, e.value)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ".")
}

// modelGlob matches a text with a pattern in which each * is any text.
func modelGlob(pattern, text string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	if !strings.HasPrefix(text, head) {
		return false
	}
	for i := len(head); i <= len(text); i++ {
		if modelGlob(rest, text[i:]) {
			return true
		}
	}
	return false
}

// meet is what a descriptor meets, nil if nothing.
func (m *model) meet(d *modelDescriptor) *modelMet {
	met := &modelMet{}
	var way []string
	// An override without a unit is no limit: the tree decides.
	if d.override != nil && modelUnits[d.override.unit] != 0 {
		met.modelLimit = d.override
		var name []string
		for _, e := range d.entries {
			way, name = append(way, e.key+"\x00"+e.value), append(name, joined(e.key, e.value))
		}
		met.stat = strings.Join(name, ".")
	} else {
		var rules []*modelRule
		if rules, way = m.find(d.entries); rules == nil || rules[len(rules)-1].limit == nil {
			return nil
		}
		met.rule, met.stat = rules[len(rules)-1], modelName(rules, d.entries)
		met.modelLimit = met.rule.limit
	}
	if !met.unlimited {
		length := modelUnits[met.unit] * max(1, met.multiplier)
		window := int64(math.Floor(m.now)) / length
		// The reference leaves the unit out, so that an hour's and a minute's first window
		// are one. It is in it here.
		met.bucket = strings.Join(way, "\x01") + "\x02" + decimal(met.unit) + "*" + decimal(max(1, met.multiplier)) + "@" + decimal(window)
	}
	return met
}

// ask answers one request.
func (m *model) ask(descriptors []modelDescriptor, hitsAddend uint32) modelAnswer {
	all := make([]*modelMet, len(descriptors))
	replaced := map[string]bool{}
	for i := range descriptors {
		d := &descriptors[i]
		met := m.meet(d)
		if all[i] = met; met == nil {
			continue
		}
		if met.hits = uint64(max(1, hitsAddend)); d.hits != nil {
			met.hits = *d.hits
		}
		met.cost = int64(min(met.hits, math.MaxInt64))
		for _, name := range met.replaces {
			replaced[name] = true
		}
	}
	for i, met := range all {
		if met != nil && !met.unlimited && met.name != "" && replaced[met.name] {
			all[i] = nil
		}
	}
	m.charge(descriptors, all)
	return m.decide(descriptors, all)
}

// charge counts the hits, as STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT says.
func (m *model) charge(descriptors []modelDescriptor, all []*modelMet) {
	anyCached, anyExceeds := false, false
	for i, met := range all {
		if met == nil || met.unlimited || descriptors[i].negative {
			continue
		}
		// An entry of a lower limit on the same bucket does not refuse for this one.
		if m.settings.cache && m.cached[met.bucket] > int64(met.requests) {
			met.cached, anyCached = true, true
		}
	}
	for i, met := range all {
		if met == nil || met.unlimited || descriptors[i].negative || anyCached {
			continue
		}
		met.exceed = modelSum(m.counts[met.bucket], met.cost) > int64(met.requests)
		anyExceeds = anyExceeds || met.exceed
	}
	for i, met := range all {
		if met == nil || met.unlimited || met.cached {
			continue
		}
		charged := met.cost
		if m.settings.stop && !descriptors[i].negative && (anyCached || anyExceeds && !met.exceed) {
			charged = 0
		}
		if descriptors[i].negative {
			m.counts[met.bucket] = max(0, m.counts[met.bucket]-charged)
			met.after = m.counts[met.bucket]
		} else {
			met.after = modelSum(m.counts[met.bucket], charged)
			// Stores count so far beyond any limit and no further, that numbers stay exact.
			m.counts[met.bucket] = max(m.counts[met.bucket], min(met.after, 1<<50+int64(met.requests)))
		}
	}
}

func modelSum(a, b int64) int64 {
	if a+b < 0 {
		return math.MaxInt64
	}
	return a + b
}

func (m *model) decide(descriptors []modelDescriptor, all []*modelMet) (answer modelAnswer) {
	answer.metadata = map[string]any{}
	otherOver, quotas, quotasOver := false, 0, 0
	least, told := uint32(math.MaxUint32), -1
	for i, met := range all {
		status := modelStatus{}
		quota := m.settings.quota
		switch {
		case met == nil:
		case met.unlimited:
			status.remaining = math.MaxUint32
		default:
			status = m.status(&descriptors[i], met)
			quota = quota || met.rule != nil && met.rule.quota
		}
		answer.statuses = append(answer.statuses, status)
		if status.limit != nil && status.remaining < least {
			least, told = status.remaining, i
		}
		if met != nil && met.unlimited {
			continue
		}
		switch {
		case quota && status.over:
			quotas, quotasOver = quotas+1, quotasOver+1
		case quota:
			quotas++
		case status.over:
			otherOver, told, least = true, i, 0
		}
		if !status.over && met != nil && met.rule != nil {
			modelMerge(answer.metadata, met.rule.metadata)
		}
	}
	answer.over = otherOver || quotas > 0 && quotas == quotasOver
	if answer.over && m.settings.shadow {
		answer.over = false
		m.shadowed++
	}
	if m.settings.headers && told >= 0 {
		s := answer.statuses[told]
		answer.headers = []string{decimal(s.limit.requests), decimal(s.remaining), decimal(s.reset)}
	}
	return answer
}

func modelMerge(to, from map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(from)) {
		if there, taken := to[name]; !taken {
			to[name] = modelCopy(from[name])
		} else if a, ok := there.(map[string]any); ok {
			if b, ok := from[name].(map[string]any); ok {
				modelMerge(a, b)
			}
		}
	}
}

func modelCopy(v any) any {
	if m, ok := v.(map[string]any); ok {
		own := map[string]any{}
		for k, v := range m {
			own[k] = modelCopy(v)
		}
		return own
	}
	return v
}

// status judges a limit by its count, and counts that.
func (m *model) status(d *modelDescriptor, met *modelMet) modelStatus {
	stats := m.stats[met.stat]
	if stats == nil {
		stats = &modelCount{}
		m.stats[met.stat] = stats
	}
	length := modelUnits[met.unit] * max(1, met.multiplier)
	status := modelStatus{limit: met.modelLimit, reset: length - int64(math.Floor(m.now))%length}
	limit := int64(met.requests)
	if d.negative {
		stats.negative += met.hits
		if status.remaining = uint32(max(0, limit-met.after)); met.after <= limit {
			delete(m.cached, met.bucket)
		}
		return status
	}
	stats.total += met.hits
	before := max(0, met.after-met.cost)
	near := min(limit, int64(math.Floor(float64(float32(met.requests)*m.settings.ratio))))
	switch {
	case met.cached:
		status.over = true
		stats.over += met.hits
		stats.overCached += met.hits
	case met.after > limit:
		status.over = true
		if m.settings.cache {
			m.cached[met.bucket] = met.after
		}
		if before >= limit {
			stats.over += met.hits
			break
		}
		stats.over += uint64(met.after - limit)
		stats.near += uint64(limit - max(near, before))
	default:
		status.remaining = uint32(limit - met.after)
		stats.within += met.hits
		if met.after > near {
			if before >= near {
				stats.near += met.hits
			} else {
				stats.near += uint64(met.after - near)
			}
		}
	}
	if status.over && met.rule != nil && met.rule.shadow {
		status.over = false
		stats.shadow += met.hits
	}
	return status
}
