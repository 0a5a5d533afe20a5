package sources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// TreeOptions say where rule files are: below Root/Subdirectory/App, whatever their names,
// and in directories there.
type TreeOptions struct {
	Root         string // RUNTIME_ROOT
	Subdirectory string // RUNTIME_SUBDIRECTORY, may be empty
	App          string // RUNTIME_APPDIRECTORY

	// WatchRoot has the tree read again when Root is another one, as when the link at
	// its name was swapped, and at no change below it. Otherwise it is read at any change.
	// What begins with App and a dot, beside the directory App, then belongs to the tree too.
	WatchRoot bool
	// IgnoreDotFiles leaves out files and directories whose names begin with a dot. Those
	// that Kubernetes keeps the versions of a volume in are left out in any case, as it
	// links to their files from beside.
	IgnoreDotFiles bool
}

// Tree keeps a source in step with a tree of files.
type Tree struct {
	options TreeOptions
	source  *descriptors.Source
	changed func(descriptors.Report)
	poll    time.Duration

	root        identity // when the tree was last read
	complete    bool     // each file and directory could be read then
	directories []string // that were found then
}

// pollEvery bounds how long a change stays unseen where the system reports none. All files
// are read then, of which there may be thousands.
const pollEvery = 2 * time.Second

// NewTree makes a tree of rules for source. changed is told what each reading found that is
// news. A tree does nothing before [Tree.First] or [Tree.Run].
func NewTree(o TreeOptions, source *descriptors.Source, changed func(descriptors.Report)) *Tree {
	return &Tree{options: o, source: source, changed: changed, poll: pollEvery}
}

// First reads the tree, for who wants its rules before the first request comes. It must not
// be called while Run runs.
func (t *Tree) First() { t.look() }

// Run reads the tree now and whenever it changes, until ctx ends, whose error it returns.
// What cannot be read, and a domain with errors, stays as it was.
func (t *Tree) Run(ctx context.Context) error {
	return descriptors.Follow(ctx, t.poll, t.watched, t.look)
}

// look reads the tree if there is a reason to.
func (t *Tree) look() {
	now := identify(t.options.Root)
	if t.options.WatchRoot && t.complete && now.same(t.root) {
		return
	}
	t.root = now
	r := t.read()
	t.complete = !slices.ContainsFunc(t.source.Faults(), func(f descriptors.Fault) bool { return f.Line == 0 && f.Severity == descriptors.Error })
	if r.Changed {
		t.changed(r)
	}
}

// base is the directory that names of files are told from.
func (t *Tree) base() string {
	if t.options.WatchRoot {
		return filepath.Join(t.options.Root, t.options.Subdirectory)
	}
	return t.home()
}

// home is the directory in which rule files are to stand.
func (t *Tree) home() string {
	return filepath.Join(t.options.Root, t.options.Subdirectory, t.options.App)
}

// mistaken is where to look if rule files are not found.
const mistaken = "check RUNTIME_ROOT, RUNTIME_SUBDIRECTORY and RUNTIME_APPDIRECTORY"

func (t *Tree) read() descriptors.Report {
	w := walk{ignoreDotFiles: t.options.IgnoreDotFiles, visited: map[string]struct{}{}, names: map[string]struct{}{}, files: map[string]descriptors.Given{}}
	if t.options.WatchRoot {
		w.prefix = joined(t.options.App) + "."
	}
	base := t.base()
	err := w.directory(base, "")
	t.directories = w.directories
	switch {
	case errors.Is(err, errTooMany):
		return t.source.Lose(descriptors.FileFault(descriptors.Error, base, err.Error(), mistaken))
	case err != nil:
		return t.source.Lose(descriptors.FileFault(descriptors.Error, base, "cannot be read: "+reason(err), mistaken))
	}
	r := t.source.Replace(w.given(), !w.unread)
	if r.Changed && len(w.files) == 0 {
		r.Faults = append(r.Faults, descriptors.FileFault(descriptors.Warning, t.home(), "there are no rule files in it", mistaken))
	}
	return r
}

// reason is what an error says without the path that a fault begins with.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return err.Error()
}

// joined is a path below the base as files are called by it.
func joined(path string) string {
	return strings.ReplaceAll(filepath.ToSlash(path), "/", ".")
}

// watched are the directories in which something can happen that is a reason to read.
func (t *Tree) watched() []string {
	if t.options.WatchRoot {
		return []string{existing(filepath.Dir(filepath.Clean(t.options.Root)))}
	}
	if len(t.directories) == 0 {
		return []string{existing(t.base())}
	}
	return t.directories
}

// existing is the directory, or the next one above it that there is.
func existing(directory string) string {
	for {
		above := filepath.Dir(directory)
		if info, err := os.Stat(directory); err == nil && info.IsDir() || above == directory {
			return directory
		}
		directory = above
	}
}

// identity tells whether a path, which may be a link, is another one by the same name.
type identity struct {
	link, target fs.FileInfo // nil if there is none
}

func identify(path string) (i identity) {
	i.link, _ = os.Lstat(path)
	i.target, _ = os.Stat(path)
	return i
}

func (i identity) same(as identity) bool {
	return alike(i.link, as.link) && alike(i.target, as.target) &&
		// A swap back and forth is a swap, and the file system may give the second link the place of the first.
		(i.link == nil || i.link.Mode()&fs.ModeSymlink == 0 || i.link.ModTime().Equal(as.link.ModTime()))
}

func alike(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b)
}

// errTooMany tells of a tree that is none of rules, such as that of a link to /.
var errTooMany = fmt.Errorf("more than %d files and directories are in it", maxEntries)
