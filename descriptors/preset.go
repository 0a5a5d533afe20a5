package descriptors

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// presetSpec is a preset model_limits as a file states it: what an LLM gateway
// admits of each user, by group and model.
type presetSpec struct {
	name      string
	at        place // of the name, else of the preset
	enabled   bool
	period    time.Duration
	global    counts            // of users of no group that is in the table
	groups    map[string]counts // by name
	groupFrom []string          // keys of the entries that may name the group, the first wins
	user      string            // keys of the entries that name user and model
	model     string
	limit     Settings           // what its limits have of the file's defaults
	told      map[bool]*Response // what those are told whom a limit refused, by whether it counts successes
}

// counts are how many requests are admitted in a period: in all, where 0 is
// unlimited, and that succeed.
type counts struct{ total, success int64 }

// maxCount bounds counts, as the gateways do that keep them as 32 bits.
const maxCount = math.MaxInt32

const (
	// maxPresetName and maxGroupName let a limit be called after both.
	maxPresetName = 60
	maxGroupName  = 100
	maxGroups     = 1000

	modelLimits = "model_limits"
	periodForm  = "write a duration from 1s to 8760h, as in 1m"
)

// presets reads the presets of a file.
func (w *walker) presets(f field) []*presetSpec {
	items, _ := w.items(f)
	var specs []*presetSpec
	for _, n := range items {
		faults := len(w.faults)
		fields, ok := w.fields(n, presetFields)
		if p, stated := fields[modelLimits]; stated {
			if s := w.preset(p); s != nil {
				specs = append(specs, s)
			}
		} else if ok && len(w.faults) == faults {
			w.fail(n, "write - model_limits: {...}", "the preset is empty")
		}
	}
	return specs
}

func (w *walker) preset(f field) *presetSpec {
	p := &presetSpec{
		name: modelLimits, at: at(w.text, f.key), enabled: true, period: time.Minute, global: counts{0, 1000},
		groupFrom: []string{"token_group", "user_group"}, user: "user", model: "model", limit: w.defaults,
	}
	fields, ok := w.fields(f.value, modelLimitsFields)
	if !ok {
		return nil
	}
	if n, ok := fields["name"]; ok {
		if p.name, p.at = w.name(n), at(w.text, n.value); len(p.name) > maxPresetName || strings.Contains(p.name, "*") {
			w.fail(n.value, "", "the name of a preset has at most %d bytes and no *, not %s", maxPresetName, quote(p.name))
		}
	}
	if e, ok := fields["enabled"]; ok {
		p.enabled, _ = w.boolean(e)
	}
	if d, ok := fields["period"]; ok {
		p.period = w.presetPeriod(d)
	}
	if n, ok := fields["total"]; ok {
		p.global.total = w.requests(n, 0)
	}
	if n, ok := fields["success"]; ok {
		p.global.success = w.requests(n, 1)
	}
	if g, ok := fields["groups"]; ok {
		p.groups = w.groups(g)
	}
	if r, ok := fields["response"]; ok {
		p.limit.Response = w.response(r)
	}
	w.presetKeys(f.value, fields, p)
	p.tell()
	return p
}

// presetPeriod reads a period that a sliding window can have.
func (w *walker) presetPeriod(f field) time.Duration {
	d, err := time.ParseDuration(f.value.Value)
	if f.value.Kind != yaml.ScalarNode || f.value.Tag != "!!str" || err != nil {
		w.fail(f.value, periodForm, "period cannot be %s", kindOf(f.value))
	} else if message := periodFault(d); message != "" {
		w.fail(f.value, periodForm, "period is %s, %s", quote(f.value.Value), message)
	}
	return d
}

// periodFault says why no window has a length of d, empty if one can.
func periodFault(d time.Duration) string {
	switch {
	case d < time.Second:
		return "too short"
	case d > maxPeriod:
		return "longer than a year"
	case d%time.Millisecond != 0:
		return "no whole number of milliseconds"
	}
	return ""
}

// presetKeys reads which entries a preset is about.
func (w *walker) presetKeys(n *yaml.Node, fields map[string]field, p *presetSpec) {
	key := func(f field) string {
		text, ok := w.str(f)
		if ok && (text == "" || strings.Contains(text, "*")) {
			w.fail(f.value, "write the key of an entry that Envoy sends", "%s cannot be %s", f.key.Value, quote(text))
		}
		return text
	}
	if f, ok := fields["user"]; ok {
		p.user = key(f)
	}
	if f, ok := fields["model"]; ok {
		p.model = key(f)
	}
	if f, ok := fields["group_from"]; ok {
		items, _ := w.items(f)
		if p.groupFrom = nil; len(items) == 0 || len(items) > maxFirstOf {
			w.fail(f.value, "name the entries that tell the group, as in [token_group, user_group]", "group_from must name 1 to %d keys", maxFirstOf)
		}
		for _, item := range items {
			p.groupFrom = append(p.groupFrom, key(field{f.key, item}))
		}
	}
	keys := append([]string{presetKey, p.user, p.model}, p.groupFrom...)
	for i, k := range keys {
		if slices.Contains(keys[:i], k) {
			w.fail(n, "each entry has a key of its own", "the preset takes the entry %s for two things", quote(k))
		}
	}
}

// requests reads a number of requests.
func (w *walker) requests(f field, least int64) int64 {
	n, ok := w.integer(f, math.MinInt64, math.MaxInt64)
	if message, remedy := countFault(f.key.Value, n, least); ok && message != "" {
		w.fail(f.value, remedy, "%s", message)
	}
	return n
}

// countFault says what is wrong with a number of requests, empty if nothing is.
func countFault(what string, n, least int64) (message, remedy string) {
	switch {
	case n >= least && n <= maxCount:
		return "", ""
	case n == 0:
		remedy = "only a total of 0 is unlimited"
	}
	return fmt.Sprintf("%s must be between %d and %d", what, least, maxCount), remedy
}
