package descriptors

import (
	"maps"
	"slices"
	"strings"
)

// support says what becomes of a field that a rule file may have.
type support uint8

const (
	works  support = iota
	notYet         // refused, never ignored
)

// table names the fields of one kind of mapping.
type table struct {
	what   string // for messages: "unknown field ... in <what>"
	fields map[string]support
}

var (
	fileFields = table{"the file", map[string]support{
		"domain": works, "defaults": works, "descriptors": works, "passive": works, "unmatched": works,
		"pools": works, "presets": works, "matching": works, "responses": works, "enabled": works, "keys": works,
		"hash_tag": works,
	}}
	defaultsFields = table{"defaults", map[string]support{
		"on_store_error": works, "response": works, "time_zone": works, "week_start": works,
	}}
	ruleFields = table{"a descriptor", map[string]support{
		"key": works, "first_of": works, "value": works, "value_cidr": works, "value_regex": works, "rate_limit": works, "limits": works, "descriptors": works, "shadow_mode": works,
		"quota_mode": works, "detailed_metric": works, "value_to_metric": works, "share_threshold": works,
		"metadata": works, "draw": works, "breaker": works,
	}}
	rateLimitFields = table{"rate_limit", map[string]support{
		"unit": works, "requests_per_unit": works, "unlimited": works, "name": works, "replaces": works,
	}}
	limitFields = table{"a limit", map[string]support{
		"algorithm": works, "rate": works, "burst": works, "weight": works, "name": works, "shadow_mode": works,
		"on_store_error": works, "response": works, "replaces": works, "enabled": works, "enforce_percent": works,
		"initial": works, "count": works, "max_debt": works, "max_wait": works, "max_waiters": works, "slots": works,
		"slot_ttl": works, "time_zone": works, "week_start": works, "lease": works,
	}}
	presetFields = table{"a preset", map[string]support{
		modelLimits: works,
	}}
	modelLimitsFields = table{modelLimits, map[string]support{
		"name": works, "enabled": works, "period": works, "total": works, "success": works, "groups": works, "group_from": works,
		"user": works, "model": works, "response": works,
	}}
	poolFields = table{"a pool", map[string]support{
		"name": works, "rate": works, "burst": works, "slots": works, "slot_ttl": works, "split_by": works, "default_class": works,
		"max_debt": works, "max_wait": works, "max_waiters": works, "shadow_mode": works, "on_store_error": works, "response": works,
		"enabled": works, "instances": works, "feedback": works,
	}}
	instancesFields = table{"instances", map[string]support{
		"units_each": works, "min": works, "max": works, "step_percent": works, "stale_after": works, "envoy": works,
	}}
	envoySourceFields = table{"envoy", map[string]support{
		"admin": works, "cluster": works,
	}}
	feedbackFields = table{"feedback", map[string]support{
		"bad_percent": works, "min_percent": works, "freeze": works,
	}}
	drawFields = table{"draw", map[string]support{
		"pool": works, "class": works, "weight": works, "guarantee": works, "reserve": works, "borrow": works, "headroom": works, "enabled": works,
	}}
	breakerFields = table{"breaker", map[string]support{
		"enabled": works, "failures": works, "open_for": works, "probes": works, "name": works, "on_store_error": works, "response": works,
	}}
	responseFields = table{"a response", map[string]support{
		"form": works, "content_type": works, "body": works, "message": works, "language": works, "headers": works,
	}}
	keysFields = table{"keys", map[string]support{
		"hash": works, "secret_file": works, "entries": works,
	}}
	replacesFields = table{"an entry of replaces", map[string]support{
		"name": works,
	}}
	weightFields = table{"weight", map[string]support{
		"by": works, "values": works, "default": works,
	}}
)

// suggest is the remedy for a field that t does not have: a field of nearly the
// same name, else the place where a field of this name belongs, else what t has.
func (t table) suggest(name string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, known := range slices.Sorted(maps.Keys(t.fields)) {
		if d := distance(strings.ToLower(name), known, least); d < least {
			best, least = known, d
		}
	}
	if best != "" {
		return `did you mean "` + best + `"?`
	}
	for _, other := range []table{limitFields, rateLimitFields, ruleFields, weightFields, poolFields, modelLimitsFields, drawFields, instancesFields, feedbackFields, breakerFields, fileFields, keysFields, responseFields} {
		if _, ok := other.fields[name]; ok {
			return "it belongs in " + other.what
		}
	}
	return "known here: " + strings.Join(t.working(), ", ")
}

// working names what t has and supports, in order.
func (t table) working() []string {
	var names []string
	for name, s := range t.fields {
		if s == works {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// distance is the number of letters to insert, delete, replace or swap with a
// neighbour that turns a into b, or limit if it is no less.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := range len(a) {
		current[0] = i + 1
		for j := range len(b) {
			replace := previous[j]
			if a[i] != b[j] {
				replace++
			}
			current[j+1] = min(replace, previous[j+1]+1, current[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				current[j+1] = min(current[j+1], before[j-1]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return min(previous[len(b)], limit)
}
