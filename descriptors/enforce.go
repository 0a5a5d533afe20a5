package descriptors

import (
	"crypto/sha256"
	"encoding/binary"
)

// enforcement reads whether and for how many a limit is enforced.
func (w *walker) enforcement(fields map[string]field, limit *Limit) {
	if f, ok := fields["shadow_mode"]; ok {
		limit.Shadow, _ = w.boolean(f)
	}
	if f, ok := fields["enabled"]; ok && f.null() {
		w.fail(f.value, "write true or false", "enabled is empty") // false by an oversight would lift the limit
	} else if ok {
		enabled, sound := w.boolean(f)
		limit.Disabled = sound && !enabled
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
