package sources

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weir-rls/weir/descriptors"
)

// maxEntries bounds what is looked at in a tree.
const maxEntries = 100_000

// walk collects the rule files of a tree. What stands behind links is followed, and what is
// reached more than once is one.
type walk struct {
	prefix         string // of the names that count; empty: all do
	ignoreDotFiles bool

	entries     int
	unread      bool                         // a directory could not be read
	directories []string                     // that may hold rule files
	visited     map[string]struct{}          // the same, by their real paths
	files       map[string]descriptors.Given // by their real paths
	names       map[string]struct{}          // of files and what could not be read
	failed      []descriptors.Given          // directories that could not be read
}

// given are the files, and what could not be read.
func (w *walk) given() []descriptors.Given {
	return append(slices.Collect(maps.Values(w.files)), w.failed...)
}

// directory collects what is in a directory, which is at path from the base.
func (w *walk) directory(directory, path string) error {
	real, err := filepath.EvalSymlinks(directory)
	if err != nil {
		return err
	}
	if _, again := w.visited[real]; again {
		return nil
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		return err
	}
	w.visited[real] = struct{}{}
	w.directories = append(w.directories, directory)
	versioned := slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "..data" })
	// Those whose names begin with a dot come last, so that a file is called by the name that people see.
	slices.SortFunc(entries, func(a, b os.DirEntry) int {
		return cmp.Or(cmp.Compare(dotted(a.Name()), dotted(b.Name())), cmp.Compare(a.Name(), b.Name()))
	})
	for _, e := range entries {
		name := e.Name()
		if w.ignoreDotFiles && dotted(name) == 1 || versioned && strings.HasPrefix(name, "..") {
			continue
		}
		if err := w.entry(filepath.Join(directory, name), filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

// dotted is 1 for a name that begins with a dot, else 0.
func dotted(name string) int {
	if strings.HasPrefix(name, ".") {
		return 1
	}
	return 0
}

// entry collects one entry of a directory, which is at path from the base.
func (w *walk) entry(file, path string) error {
	if w.entries++; w.entries > maxEntries {
		return errTooMany
	}
	name := joined(path)
	info, err := os.Stat(file)
	within := strings.HasPrefix(name, w.prefix)
	switch {
	case err == nil && info.IsDir():
		if !strings.HasPrefix(name+".", w.prefix) && !strings.HasPrefix(w.prefix, name+".") {
			return nil
		}
		err := w.directory(file, path)
		if err == nil || err == errTooMany {
			return err
		}
		// Its files stay as they were, while those beside it can change.
		w.unread = true
		w.failed = append(w.failed, descriptors.Given{Name: w.called(name, path), Unread: "cannot be read: " + reason(err)})
	case !within || err == nil && !info.Mode().IsRegular():
		// Not of the tree, or a pipe that would keep us waiting.
	default:
		real, err := filepath.EvalSymlinks(file)
		if err != nil {
			real = file // its reading tells why
		}
		if _, again := w.files[real]; !again {
			w.files[real] = descriptors.Given{Name: w.called(name, path), File: file}
		}
	}
	return nil
}

// called is the name of a file: its own, or its path if another
// one has that.
func (w *walk) called(name, path string) string {
	if _, taken := w.names[name]; taken {
		name = "./" + path // which no other has
	}
	w.names[name] = struct{}{}
	return name
}
