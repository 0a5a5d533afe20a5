package admin

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/overrides"
)

// readChange reads what is set of a limit, a pool or a preset.
func readChange(body []byte) (change descriptors.Change, words overrides.Words, err error) {
	f := parse(body)
	change = descriptors.Change{
		Rate: f.text("rate"), Burst: f.integer("burst", 0, math.MaxInt64), Slots: f.integer("slots", 0, math.MaxInt64),
		Enabled: f.boolean("enabled"), For: f.texts("for"), Period: f.text("period"),
		Total: f.integer("total", 0, math.MaxInt32), Success: f.integer("success", 1, math.MaxInt32), Groups: f.groups("groups"),
	}
	for name, into := range map[string]*bool{"unlimited": &change.Unlimited, "blocked": &change.Blocked} {
		if value := f.boolean(name); value != nil {
			*into = *value
		}
	}
	words = f.words()
	return change, words, f.end()
}

// readSwitch reads what is set of a domain.
func readSwitch(body []byte) (change descriptors.Change, words overrides.Words, err error) {
	f := parse(body)
	change.Enabled = f.boolean("enabled")
	words = f.words()
	return change, words, f.end()
}

// words reads what goes with a change.
func (f *fields) words() overrides.Words {
	return overrides.Words{
		TTL: f.duration("ttl"), Author: f.text("author"), Reason: f.text("reason"), Expect: f.integer("version", 0, math.MaxInt64),
	}
}

// texts reads an object of texts, nil if it is left out.
func (f *fields) texts(name string) map[string]string {
	inner := f.nested(name)
	if inner == nil {
		return nil
	}
	texts := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(inner.of)) {
		texts[key] = inner.anyText(key)
	}
	f.join(inner)
	return texts
}

// groups reads a table of groups, as in {"vip": [0, 1000]}: the total, 0 for
// none, and the successes that each may have.
func (f *fields) groups(name string) map[string][2]int64 {
	inner := f.nested(name)
	if inner == nil {
		return nil
	}
	groups := map[string][2]int64{}
	for _, group := range slices.Sorted(maps.Keys(inner.of)) {
		pair := inner.list(group)
		if inner.fault == nil && len(pair) != 2 {
			inner.fail(bad(inner.path+shown(group), fmt.Sprintf("the group has %d numbers, not 2", len(pair)), "write [total, success], as in [200, 100]"))
		}
		if inner.fault != nil {
			break
		}
		var numbers [2]int64
		for i, least := range []int64{0, 1} {
			n, fault := integer(fmt.Sprintf("%s%s[%d]", inner.path, shown(group), i), pair[i], least, math.MaxInt32)
			if fault != nil {
				inner.fail(fault)
			}
			numbers[i] = n
		}
		groups[group] = numbers
	}
	f.join(inner)
	return groups
}
