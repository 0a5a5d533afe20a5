package named

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

// Whatever stands in a record of the ledger, it is a bucket that can be counted and is
// read again as it was written, or no bucket.
func FuzzRecord(f *testing.F) {
	for _, text := range []string{
		`{"rate": "10/s", "burst": 4, "initial": "empty", "max_wait": "30s", "max_waiters": 10, "version": 7}`,
		`{"rate": "1/4s"}`, `{"rate": "1/s", "initial": "3", "burst": 5, "later": {}}`, `{"rate": "0/s"}`, `{"rate": "1/s", "burst": 9223372036854775807}`, "null", "",
	} {
		f.Add("partner", []byte(text))
	}
	f.Add("a b", []byte(`{"rate": "1/s"}`))
	f.Fuzz(func(t *testing.T, id string, raw []byte) {
		b, err := decode(id, raw)
		if err != nil {
			var fault Fault
			if b != nil || errors.As(err, &fault) && fault.Message == "" {
				t.Fatalf("%q is refused with %#v", raw, err)
			}
			return
		}
		if b.ID != id || checkID(id) != nil || b.tokens.Size() != b.Burst || b.Burst < 1 ||
			b.MaxWait <= 0 || time.Duration(b.MaxWait) > maxWait || b.MaxWaiters < 1 || b.MaxWaiters > mostWaiters {
			t.Fatalf("%q is read as %+v", raw, b)
		}
		text, err := encode(b.Definition)
		if err != nil {
			t.Fatalf("%q is read as %+v, which is not written: %v", raw, b, err)
		}
		if again, err := decode(id, text); err != nil || !reflect.DeepEqual(again, b) {
			t.Fatalf("%q is read as %+v, and written and read as %+v, %v", raw, b, again, err)
		}
	})
}
