package descriptors

import (
	"crypto/sha256"
	"encoding/binary"
)

// enforcement reads whether and for how many a limit is enforced.
func (w *walker) enforcement(fields map[string]field, limit *Settings) {
	if f, ok := fields["shadow_mode"]; ok {
		limit.Shadow, _ = w.boolean(f)
	}
	if f, ok := fields["enabled"]; ok {
		limit.Disabled = !w.enabled(f)
	}
	f, ok := fields["enforce_percent"]
	if !ok {
		return
	}
	percent, _ := w.integer(f, 0, 100)
	limit.EnforcePercent = int(percent)
	if limit.Shadow {
		w.warn(f.key, "remove one of the two", "enforce_percent means nothing beside shadow_mode: true")
	}
}

// enabled reads a switch.
func (w *walker) enabled(f field) bool {
	if f.null() {
		w.fail(f.value, "write true or false", "enabled is empty") // false by an oversight would lift the limit
		return true
	}
	enabled, sound := w.boolean(f)
	return enabled || !sound
}

// roles reads what a descriptor says of all its limits. Shadow mode is the
// stronger: what is reported only cannot refuse as a quota either. In the Reference
// dialect it is a quota that never is used up, and so admits what others would refuse.
func (w *walker) roles(fields map[string]field, r *rule) {
	role := func(name string) (field, bool) {
		f, ok := fields[name]
		if !ok {
			return f, false
		}
		on, _ := w.boolean(f)
		if on && len(r.limits) == 0 {
			w.warn(f.key, "write it where the limit is", "%s means nothing on a descriptor without a limit", name)
		}
		return f, on
	}
	_, shadow := role("shadow_mode")
	at, quota := role("quota_mode")
	contradiction := false
	for _, s := range r.limits {
		l := &s.limit
		l.Shadow, l.Quota = l.Shadow || shadow, quota
		contradiction = contradiction || l.Shadow && l.Quota
	}
	if contradiction && w.text.dialect == Weir {
		w.warn(at.key, "remove one of the two", "quota_mode means nothing beside shadow_mode: true")
	}
}

// enforces tells whether the limit is enforced for a bucket: each has a fixed
// place from 0 to 99, by a hash that all replicas compute alike and that no
// restart changes, so that a caller is not refused by one replica and admitted
// by the next, and a higher percentage only adds buckets.
func (l *Limit) enforces(key string) bool {
	if l.EnforcePercent == 100 {
		return true
	}
	sum := sha256.Sum256([]byte(key))
	return binary.BigEndian.Uint64(sum[:8])%100 < uint64(l.EnforcePercent)
}
