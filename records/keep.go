package records

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// Kept are records that this process remembers: they are read again only where
// their version is another one, and survive a store that loses them.
//
// Versions only grow, so a store that answers an older one than before has lost
// what was written since: a Redis that was restarted empty, or from an old copy.
// What this process knows is then written back, by whichever replica notices
// first. Losing every override and every bucket would be worse than bringing back
// what was removed within the moment before. What no replica that runs has seen
// stays lost.
type Kept struct {
	store Records

	mu      sync.Mutex
	version int64
	records map[string][]byte // never changed, only replaced
}

var _ Records = (*Kept)(nil)

// Keep remembers the records of a store.
func Keep(store Records) *Kept { return &Kept{store: store, records: map[string][]byte{}} }

// Version implements [Records].
func (k *Kept) Version(ctx context.Context) (int64, error) {
	version, err := k.store.Version(ctx)
	if known, _ := k.known(); err != nil || version >= known {
		return version, err
	}
	version, _, err = k.Read(ctx)
	return version, err
}

// Read implements [Records]. The answer is not to be changed.
func (k *Kept) Read(ctx context.Context) (version int64, records map[string][]byte, err error) {
	version, err = k.store.Version(ctx)
	if err != nil {
		return 0, nil, err
	}
	if known, records := k.known(); version == known {
		return version, records, nil
	}
	for {
		version, records, err = k.store.Read(ctx)
		if err != nil {
			return 0, nil, err
		}
		known, kept := k.known()
		if version >= known {
			k.remember(version, records)
			return version, records, nil
		}
		version, written, err := k.store.Write(ctx, version, kept, missing(records, kept), restored())
		if err != nil {
			return 0, nil, err
		}
		if written { // even if the version is an old one still, as on a server whose clock is behind the lost one's
			k.begin(version, kept)
			return version, kept, nil
		}
	}
}

// restored is the note of a ledger that was written back. It is JSON, as the notes
// of those who write to it are.
func restored() []byte {
	return fmt.Appendf(nil, `{"time":%q,"action":"restored","reason":"the store had lost what was set"}`, time.Now().UTC().Format(time.RFC3339))
}

// Write implements [Records].
func (k *Kept) Write(ctx context.Context, expect int64, set map[string][]byte, remove []string, note []byte) (version int64, written bool, err error) {
	version, written, err = k.store.Write(ctx, expect, set, remove, note)
	if known, kept := k.known(); err == nil && written && known == expect {
		next := maps.Clone(kept)
		apply(next, set, remove)
		k.remember(version, next)
	}
	return version, written, err
}

// Notes implements [Records].
func (k *Kept) Notes(ctx context.Context, n int) ([][]byte, error) { return k.store.Notes(ctx, n) }

func (k *Kept) known() (int64, map[string][]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.version, k.records
}

// remember takes note of a version, unless a later one came in meanwhile.
func (k *Kept) remember(version int64, records map[string][]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if version > k.version {
		k.version, k.records = version, records
	}
}

// begin takes note of a version whatever was before it.
func (k *Kept) begin(version int64, records map[string][]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.version, k.records = version, records
}

// missing are the names in records that kept does not have.
func missing(records, kept map[string][]byte) (names []string) {
	for name := range records {
		if _, ok := kept[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}
