package records_test

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/records"
)

// Whatever stands in the state file, it is read and goes on, or it is refused by its name
// and stays as it is.
func FuzzStateFile(f *testing.F) {
	for _, text := range []string{
		`{"version": 7, "records": {"limit/a": "e30="}, "notes": ["e30="]}`, `{"version": 9223372036854775807, "records": {}}`,
		`{"version": 0, "records": {}}`, `{"version": 1}`, `{"version": 1, "records": {"a": null}, "notes": [null]}`, "{}", "", "\x00",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		dir, ctx := t.TempDir(), context.Background()
		path := filepath.Join(dir, "state.json")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		ledger, err := records.Open(dir)
		if err != nil {
			if left, _ := os.ReadFile(path); !bytes.Equal(left, content) || !strings.Contains(err.Error(), path) {
				t.Fatalf("%q is refused with %v and is %q now", content, err, left)
			}
			return
		}
		before, all, _ := ledger.Read(ctx)
		all = maps.Clone(all)
		version, written, err := ledger.Write(ctx, before, map[string][]byte{"new": []byte("x")}, nil, []byte("note"))
		if err != nil || !written || version <= before {
			t.Fatalf("%q of version %d is written as version %d, %v, %v", content, before, version, written, err)
		}
		if err := ledger.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := records.Open(dir)
		if err != nil {
			t.Fatalf("%q, written again: %v", content, err)
		}
		defer func() { _ = again.Close() }()
		all["new"] = []byte("x")
		if v, got, _ := again.Read(ctx); v != version || !maps.EqualFunc(got, all, bytes.Equal) {
			t.Fatalf("%q, written and read: version %d with %q, want %d with %q", content, v, got, version, all)
		}
	})
}
