package descriptors

import (
	"maps"
	"slices"
	"strings"
)

// table names the fields of one kind of mapping.
type table struct {
	what   string // for messages: "unknown field ... in <what>"
	fields map[string]bool
}

var (
	fileFields = table{"the file", map[string]bool{
		"domain": true, "defaults": true, "descriptors": true, "passive": true, "unmatched": true,
		"pools": true, "presets": true, "matching": true, "responses": true, "enabled": true, "keys": true,
		"hash_tag": true,
	}}
	defaultsFields = table{"defaults", map[string]bool{
		"on_store_error": true, "response": true, "time_zone": true, "week_start": true,
	}}
	ruleFields = table{"a descriptor", map[string]bool{
		"key": true, "first_of": true, "value": true, "value_cidr": true, "value_regex": true, "rate_limit": true, "limits": true, "descriptors": true, "shadow_mode": true,
		"quota_mode": true, "detailed_metric": true, "value_to_metric": true, "share_threshold": true,
		"metadata": true, "draw": true, "breaker": true,
	}}
	rateLimitFields = table{"rate_limit", map[string]bool{
		"unit": true, "requests_per_unit": true, "unlimited": true, "name": true, "replaces": true,
	}}
	limitFields = table{"a limit", map[string]bool{
		"algorithm": true, "rate": true, "burst": true, "weight": true, "name": true, "shadow_mode": true,
		"on_store_error": true, "response": true, "replaces": true, "enabled": true, "enforce_percent": true,
		"initial": true, "count": true, "max_debt": true, "max_wait": true, "max_waiters": true, "slots": true,
		"slot_ttl": true, "time_zone": true, "week_start": true, "lease": true,
	}}
	presetFields = table{"a preset", map[string]bool{
		modelLimits: true,
	}}
	modelLimitsFields = table{modelLimits, map[string]bool{
		"name": true, "enabled": true, "period": true, "total": true, "success": true, "groups": true, "group_from": true,
		"user": true, "model": true, "response": true,
	}}
	poolFields = table{"a pool", map[string]bool{
		"name": true, "rate": true, "burst": true, "slots": true, "slot_ttl": true, "split_by": true, "default_class": true,
		"max_debt": true, "max_wait": true, "max_waiters": true, "shadow_mode": true, "on_store_error": true, "response": true,
		"enabled": true, "instances": true, "feedback": true,
	}}
	instancesFields = table{"instances", map[string]bool{
		"units_each": true, "min": true, "max": true, "step_percent": true, "stale_after": true, "envoy": true,
	}}
	envoySourceFields = table{"envoy", map[string]bool{
		"admin": true, "cluster": true,
	}}
	feedbackFields = table{"feedback", map[string]bool{
		"bad_percent": true, "min_percent": true, "freeze": true,
	}}
	drawFields = table{"draw", map[string]bool{
		"pool": true, "class": true, "weight": true, "guarantee": true, "reserve": true, "borrow": true, "headroom": true, "enabled": true,
	}}
	breakerFields = table{"breaker", map[string]bool{
		"enabled": true, "failures": true, "open_for": true, "probes": true, "name": true, "on_store_error": true, "response": true,
	}}
	responseFields = table{"a response", map[string]bool{
		"form": true, "content_type": true, "body": true, "message": true, "language": true, "headers": true,
	}}
	keysFields = table{"keys", map[string]bool{
		"hash": true, "secret_file": true, "entries": true,
	}}
	replacesFields = table{"an entry of replaces", map[string]bool{
		"name": true,
	}}
	weightFields = table{"weight", map[string]bool{
		"by": true, "values": true, "default": true,
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
	return "known here: " + strings.Join(t.names(), ", ")
}

// names are the fields that t has, in order.
func (t table) names() []string { return slices.Sorted(maps.Keys(t.fields)) }

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
