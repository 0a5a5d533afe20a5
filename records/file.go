package records

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// maxVersion is what no version comes to, which grows from that of the milliseconds since
// 1970: after a larger one no version would be left that is larger still.
const maxVersion = 1 << 53

// maxNotes is how many notes a journal holds.
const maxNotes = 1000

// File keeps records in this process and, if it has a directory, in a file of it.
// Only one process can have a directory open.
type File struct {
	dir  string // empty: in memory only
	lock *os.File

	mu    sync.Mutex
	state state
}

var _ Records = (*File)(nil)

// state is what the file holds, as JSON.
type state struct {
	Version int64             `json:"version"`
	Records map[string][]byte `json:"records"`
	Notes   [][]byte          `json:"notes"` // newest last
}

// Open returns the records of a directory, which is made if it is not there. Of an
// empty name they are kept in memory only. It fails if the directory is in use by
// another process, or if what it holds cannot be read.
func Open(dir string) (*File, error) {
	f := &File{dir: dir, state: state{Records: map[string][]byte{}}}
	if dir == "" {
		return f, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("the state directory: %w", err)
	}
	var err error
	if f.lock, err = lock(filepath.Join(dir, "weir.lock")); err != nil {
		return nil, fmt.Errorf("the state directory %s: %w: give each process a directory of its own", dir, err)
	}
	if err := f.read(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Close lets another process have the directory.
func (f *File) Close() error {
	if f.lock == nil {
		return nil
	}
	return f.lock.Close()
}

func (f *File) path() string { return filepath.Join(f.dir, "state.json") }

func (f *File) read() error {
	data, err := os.ReadFile(f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what was set while weir ran: %w", err)
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil || s.Version <= 0 || s.Version > maxVersion || s.Records == nil {
		return fmt.Errorf("%s is damaged and nothing was read from it (%w): put a copy of it back, or remove it to begin without what was set while weir ran",
			f.path(), errors.Join(err, fmt.Errorf("version %d with %d records", s.Version, len(s.Records))))
	}
	f.state = s
	return nil
}

// Version implements [Records].
func (f *File) Version(context.Context) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Version, nil
}

// Read implements [Records].
func (f *File) Read(context.Context) (version int64, records map[string][]byte, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Version, maps.Clone(f.state.Records), nil
}

// Write implements [Records]. It fails if the file cannot be written, and nothing
// is changed then.
func (f *File) Write(_ context.Context, expect int64, set map[string][]byte, remove []string, note []byte) (version int64, written bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Version != expect {
		return f.state.Version, false, nil
	}
	next := state{Version: max(expect+1, time.Now().UnixMilli()), Records: maps.Clone(f.state.Records), Notes: f.state.Notes}
	apply(next.Records, set, remove)
	if len(note) > 0 {
		next.Notes = append(next.Notes[max(0, len(next.Notes)+1-maxNotes):len(next.Notes):len(next.Notes)], note)
	}
	if f.dir != "" {
		if err := f.write(next); err != nil {
			return f.state.Version, false, fmt.Errorf("write what is set while weir runs: %w", err)
		}
	}
	f.state = next
	return next.Version, true, nil
}

// apply changes records as a Write says: what is both set and removed is set.
func apply(records, set map[string][]byte, remove []string) {
	for _, name := range remove {
		delete(records, name)
	}
	maps.Copy(records, set)
}

// write replaces the file: whoever opens it finds the old state or the new one,
// whatever happens to the machine meanwhile.
func (f *File) write(s state) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	fresh, err := os.CreateTemp(f.dir, "state-*.json")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(fresh.Name()) }() // it has its other name by then, unless something failed
	_, err = fresh.Write(data)
	if err := errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh.Name(), f.path()); err != nil {
		return err
	}
	return syncDir(f.dir)
}

// syncDir makes a rename last: the name is in the directory, not in the file.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Notes implements [Records].
func (f *File) Notes(_ context.Context, n int) ([][]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	notes := make([][]byte, 0, max(0, min(n, len(f.state.Notes))))
	for i := len(f.state.Notes) - 1; i >= 0 && len(notes) < n; i-- {
		notes = append(notes, f.state.Notes[i])
	}
	return notes, nil
}
