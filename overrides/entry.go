package overrides

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/weir-rls/weir/descriptors"
)

// Entry is a change as it is kept: who made it, why, when and until when.
type Entry struct {
	descriptors.Change
	Author  string    `json:"author,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	SetAt   time.Time `json:"set_at"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
	// Version is of this entry. No other entry ever had it, so that an entry which
	// was undone and set again is not taken for the one before.
	Version int64 `json:"version"`
}

// Key names what the entry changes.
func (e *Entry) Key() string { return Key(e.Domain, e.Limit, e.For) }

// Key names what a change of these is for. Two changes have the same key if they
// cannot both be in force.
func Key(domain, limit string, only map[string]string) string {
	if len(only) == 0 {
		only = nil
	}
	key, err := json.Marshal([]any{domain, limit, only}) // whose maps are in order
	if err != nil {
		panic(err) // texts always marshal
	}
	return string(key)
}

func (e *Entry) expired(now time.Time) bool { return !e.Expires.IsZero() && !now.Before(e.Expires) }

// prefix begins the names of records that are changes.
const prefix = "limit/"

// format is that of records. A replica leaves out what has a later one: half a
// change may be worse than none.
const format = 1

// record is an entry as the ledger has it.
type record struct {
	Format int `json:"format"`
	Entry
}

func (e *Entry) encode() ([]byte, error) { return json.Marshal(record{format, *e}) }

// decode reads a record; its name must be the entry's, lest one entry counts twice.
func decode(name string, raw []byte) (Entry, error) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return Entry{}, fmt.Errorf("the record %.200q is no change: %w", name, err)
	}
	if r.Format != format {
		return Entry{}, fmt.Errorf("the record %.200q has format %d, this weir knows %d: it is left out", name, r.Format, format)
	}
	if prefix+r.Key() != name {
		return Entry{}, fmt.Errorf("the record %.200q is of another change: it is left out", name)
	}
	return r.Entry, nil
}

// Bounds of an entry, which every replica reads whenever one changes.
const (
	maxEntries = 10_000
	maxRecord  = 64 << 10 // bytes
	maxAuthor  = 200      // bytes
	maxReason  = 1000     // bytes
	minTTL     = time.Second
	maxTTL     = 365 * 24 * time.Hour
)

// checkWords refuses what an entry cannot say of itself.
func checkWords(author, reason string, ttl time.Duration) error {
	for _, text := range []struct {
		field, value string
		most         int
	}{{"author", author, maxAuthor}, {"reason", reason, maxReason}} {
		if len(text.value) > text.most {
			return descriptors.ChangeFault{
				Field: text.field, Message: fmt.Sprintf("has %d bytes, more than %d", len(text.value), text.most), Remedy: "shorten it",
			}
		}
		if !utf8.ValidString(text.value) || strings.ContainsFunc(text.value, unicode.IsControl) {
			return descriptors.ChangeFault{Field: text.field, Message: "has unprintable characters", Remedy: "write one line of text"}
		}
	}
	if ttl != 0 && (ttl < minTTL || ttl > maxTTL) {
		return descriptors.ChangeFault{
			Field: "ttl", Message: fmt.Sprintf("%v is not between %v and %v", ttl, minTTL, maxTTL), Remedy: "leave it out for a change that holds until it is undone",
		}
	}
	return nil
}

// checkSize refuses an entry that would take too much of what all replicas read.
func checkSize(raw []byte) error {
	if len(raw) > maxRecord {
		return descriptors.ChangeFault{Message: fmt.Sprintf("the change takes %d bytes, more than %d", len(raw), maxRecord), Remedy: "state less, or change the rule files"}
	}
	return nil
}
