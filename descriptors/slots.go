package descriptors

import (
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/buckets"
)

const (
	// defaultSlotTTL is longer than most calls: a slot that is free too early
	// admits one too many, one that is free too late only after a crash.
	defaultSlotTTL = 10 * time.Minute
	minSlotTTL     = time.Second
	maxSlotTTL     = day
)

// slots reads how much may be in flight.
func (w *walker) slots(n *yaml.Node, fields map[string]field, limit *Settings) (sound bool) {
	f, ok := fields["slots"]
	if !ok {
		w.fail(n, "state them, as in slots: 5", "the limit has no slots")
		return false
	}
	count, sound := int64(0), false
	if f.value.Kind == yaml.ScalarNode && f.value.Value == "0" {
		w.fail(f.value, "state 1 or more; rate: 0/s refuses always", "with 0 slots nothing could ever pass")
	} else {
		count, sound = w.integer(f, 1, maxTokens)
	}
	ttl := defaultSlotTTL
	if f, ok := fields["slot_ttl"]; ok {
		if ttl, ok = w.duration(f, minSlotTTL, maxSlotTTL, "a slot that nobody gives back would be lost for longer than a day"); !ok {
			return false
		}
	}
	limit.Bucket = buckets.Slots{Count: count, TTL: ttl.Microseconds()}
	return sound
}
