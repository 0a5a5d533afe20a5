package records_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/records"
)

// What was written is there after a restart, the journal and the version too.
func TestADirectoryOutlivesItsProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on demand")
	f := open(t, dir)
	set := map[string][]byte{"limit/a": []byte(`{"rate":"1/s"}`), "gone": {0xff}}
	first, _, err := f.Write(t.Context(), 0, set, nil, []byte("first"))
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := f.Write(t.Context(), first, nil, []string{"gone"}, []byte("second"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	delete(set, "gone")
	f = open(t, dir)
	version, got, _ := f.Read(t.Context())
	notes, _ := f.Notes(t.Context(), 10)
	if version != second || !maps.EqualFunc(got, set, bytes.Equal) || string(bytes.Join(notes, []byte(","))) != "second,first" {
		t.Errorf("version %d of %q with notes %q, want %d of %q", version, got, notes, second, set)
	}
}

// Two processes that wrote one file would undo each other's changes.
func TestADirectoryHasOneProcess(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	if _, err := records.Open(dir); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "directory of its own") {
		t.Fatalf("a second process: %v, want an error that names the directory and the remedy", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

// A damaged file is told, with a remedy, and left as it is: to begin without it
// would lose all that was set, without a word.
func TestADamagedFileIsAnErrorAndStays(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "cut": `{"version":17,"records":{"a":"AA`, "of another kind": `{"rules":[]}`, "not base64": `{"version":1,"records":{"a":"?"},"notes":[]}`,
		"a list": `[]`, "no version": `{"version":0,"records":{},"notes":[]}`,
		"no version after it": `{"version":9223372036854775807,"records":{},"notes":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "state.json")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := records.Open(dir)
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "remove it") {
				t.Errorf("%v, want an error that names %s and the remedy", err, path)
			}
			if left, _ := os.ReadFile(path); string(left) != content {
				t.Errorf("the file holds %q now", left)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			open(t, dir) // the lock was given back
		})
	}
}

// A write that the disk refuses changes nothing, in memory neither.
func TestAWriteThatFailsChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	f := open(t, dir)
	version, _, err := f.Write(t.Context(), 0, map[string][]byte{"a": []byte("1")}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+" away"); err != nil {
		t.Fatal(err)
	}
	if _, written, err := f.Write(t.Context(), version, map[string][]byte{"a": []byte("2")}, nil, []byte("note")); err == nil || written {
		t.Errorf("written %v, %v", written, err)
	}
	again, got, _ := f.Read(t.Context())
	if notes, _ := f.Notes(t.Context(), 1); again != version || string(got["a"]) != "1" || len(notes) != 0 {
		t.Errorf("version %d of %q with %d notes, want nothing changed", again, got, len(notes))
	}
	if err := os.Rename(dir+" away", dir); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "state-*")); err != nil || len(left) != 0 {
		t.Errorf("%q are left over", left)
	}
}
