package service

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var testKey = []byte("0123456789abcdef0123456789abcdef")

var anyReceipt = rapid.Custom(func(t *rapid.T) *receipt {
	r := &receipt{expires: time.Unix(rapid.Int64Range(0, 1<<40).Draw(t, "expires"), 0)}
	copy(r.id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	r.items = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) item {
		return item{
			limit: rapid.String().Draw(t, "limit"), key: rapid.String().Draw(t, "key"), classKey: rapid.String().Draw(t, "class"),
			cost: rapid.Int64Range(0, 1<<62).Draw(t, "cost"), at: rapid.Int64Range(0, 1<<62).Draw(t, "at"), charge: rapid.Byte().Draw(t, "charge"), slots: rapid.Bool().Draw(t, "slots"),
		}
	}), 1, 16).Draw(t, "items")
	return r
})

func TestReceiptSaysTheSameWhenItComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys, r := NewKeys(testKey), anyReceipt.Draw(t, "receipt")
		back, err := keys.open(keys.seal(r), r.expires)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back, cmp.AllowUnexported(receipt{}, item{})); diff != "" {
			t.Fatalf("sent -, came back +:\n%s", diff)
		}
		if _, err := keys.open(keys.seal(r), r.expires.Add(time.Second)); !errors.Is(err, errExpired) {
			t.Fatalf("%v a second after it expired", err)
		}
	})
}

// A receipt frees slots and gives tokens back: nobody but the fleet may write one.
func TestReceiptWithOneBitChangedIsForged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys, r := NewKeys(testKey), anyReceipt.Draw(t, "receipt")
		raw, err := base64.RawURLEncoding.DecodeString(keys.seal(r))
		if err != nil {
			t.Fatal(err)
		}
		bit := rapid.IntRange(0, 8*len(raw)-1).Draw(t, "bit")
		raw[bit/8] ^= 1 << (bit % 8)
		if _, err := keys.open(base64.RawURLEncoding.EncodeToString(raw), r.expires); !errors.Is(err, errForged) {
			t.Fatalf("bit %d of %d changed: %v", bit, 8*len(raw), err)
		}
	})
}

// Replicas change to a shared key one after the other.
func TestReceiptOfTheKeyBeforeIsStillGood(t *testing.T) {
	keys := NewKeys(testKey)
	first := keys.seal(&receipt{expires: time.Unix(9, 0)})
	keys.Use([]byte("second"))
	if _, err := keys.open(first, time.Unix(9, 0)); err != nil {
		t.Errorf("signed with the key before: %v", err)
	}
	if _, err := NewKeys([]byte("second")).open(keys.seal(&receipt{expires: time.Unix(9, 0)}), time.Unix(9, 0)); err != nil {
		t.Errorf("signed with the new key: %v", err)
	}
	keys.Use([]byte("third"))
	if _, err := keys.open(first, time.Unix(9, 0)); !errors.Is(err, errForged) {
		t.Errorf("signed with the key before that: %v", err)
	}
}

func FuzzOpenReceipt(f *testing.F) {
	keys := NewKeys(testKey)
	f.Add(keys.seal(&receipt{items: []item{{limit: "d\x00x", key: "{d}1:d/a:c", cost: 1, at: 2}}}), false)
	f.Add("", true)
	f.Add(strings.Repeat("A", maxReceipt+1), false)
	f.Fuzz(func(t *testing.T, text string, sign bool) {
		if sign { // past the signature, into the decoder
			message := append([]byte{receiptVersion}, text...)
			text = base64.RawURLEncoding.EncodeToString(append(message, mac(testKey, message)...))
		}
		r, err := keys.open(text, time.Unix(0, 0))
		if err == nil && keys.seal(r) == "" {
			t.Error("an open receipt cannot be sealed again")
		}
	})
}
