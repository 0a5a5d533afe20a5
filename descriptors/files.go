package descriptors

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options are the choices of whoever runs weir about rule files as a whole.
type Options struct {
	Dialect   Dialect
	KeyPrefix string // of all bucket keys, any text
	// Spread has each bucket in a hash slot of a Redis Cluster by all its entries, where a
	// domain states no hash_tag: for who has no need to judge a request in one step.
	Spread bool

	MergeDomains bool // several files may state one domain; their descriptors are joined
	// AllOrNothing has a [Source] keep all rules as they are while anything has an error;
	// otherwise only the domains that have one.
	AllOrNothing bool
	// Large is called when a [Source] that has rules begins to read a file of a megabyte
	// or more, and done when it has compiled it, nil if nobody cares: meanwhile it holds
	// some forty times as much memory as the file, beside the rules in force.
	Large func() (done func())
}

// largeFile is the size of a file from which on somebody may care.
const largeFile = 1 << 20

// Load reads rule files, each path a file or a directory of them, and compiles
// what has no errors. It answers all faults of all files, ordered by place, and
// nil rules if no domain could be compiled, because of errors or because there
// is no rule file.
func Load(paths []string, opts Options) (*Rules, Faults) {
	files, faults := readFiles(paths, opts.Dialect)
	set := assemble(files, opts)
	if faults = append(faults, set.faults...).tidy(); len(set.domains) == 0 {
		return nil, faults
	}
	return newRules(set.domains), faults
}

// readFiles reads all files of paths.
func readFiles(paths []string, d Dialect) (files []*file, faults Faults) {
	var names []string
	for _, path := range paths {
		found, err := list(path)
		if err != nil {
			faults = append(faults, fileFault(path, err))
		}
		if err == nil && len(found) == 0 {
			faults = append(faults, noFiles(path, Warning))
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		files = append(files, readFile(name, d))
	}
	return files, faults
}

// noFiles is what is wrong with an empty directory.
func noFiles(path string, s Severity) Fault {
	return FileFault(s, path, "there are no rule files in it", "their names end in .yaml or .yml")
}

// list names the rule files of a path: itself, or what a directory holds of
// them. Entries beginning with a dot are not looked at: a ConfigMap keeps its
// versions there and links to them from beside.
func list(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{filepath.Clean(path)}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if strings.HasPrefix(e.Name(), ".") || ext != ".yaml" && ext != ".yml" {
			continue
		}
		name := filepath.Join(path, e.Name())
		if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
			continue // a directory, or a pipe that would keep us waiting
		}
		names = append(names, name)
	}
	return names, nil
}

// readFile reads and parses a rule file; that it cannot be read is a fault too.
func readFile(name string, d Dialect) *file {
	content, err := readBounded(name, nil)
	if err != nil {
		return unreadable(name, err)
	}
	return parseFile(d.text(name, content))
}

func parseFile(t *text) *file {
	raw := t.content // of which parse takes a byte order mark off
	f := parse(t)
	f.raw = raw
	return f
}

func unreadable(name string, err error) *file {
	return &file{text: newText(name, nil), unread: err.Error(), faults: Faults{fileFault(name, err)}}
}

// readBounded reads a file, but no further than what parse needs to see that
// it is too large. It answers before itself if the file still holds that: files
// are looked at all the time, and a copy of 10 MB each time would have all rules
// walked by the garbage collector every few looks.
func readBounded(name string, before []byte) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := io.LimitReader(f, maxFileSize+1)
	same, differs, err := compare(r, before)
	switch {
	case err != nil:
		return nil, err
	case same == len(before) && len(differs) == 0 && before != nil:
		return before, nil
	}
	var content bytes.Buffer
	if info, err := f.Stat(); err == nil {
		content.Grow(int(min(max(info.Size(), 0), maxFileSize)) + bytes.MinRead)
	}
	content.Write(before[:same])
	content.Write(differs)
	_, err = content.ReadFrom(r)
	return content.Bytes(), err
}

// compare reads r as far as it holds what before does, in chunks: same bytes, and
// the chunk after them, which is empty where r ends.
func compare(r io.Reader, before []byte) (same int, differs []byte, err error) {
	chunk := make([]byte, compared)
	for {
		n, err := io.ReadFull(r, chunk)
		if ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); err != nil && !ended {
			return 0, nil, err
		}
		if n == 0 || !bytes.HasPrefix(before[same:], chunk[:n]) {
			return same, chunk[:n], nil
		}
		same += n
	}
}

// compared is how much of a file is compared at a time.
const compared = 32 << 10

// fileFault says that a file or directory could not be read.
func fileFault(name string, err error) Fault {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		err = pe.Err
	}
	return FileFault(Error, name, "cannot be read: "+err.Error(), "check the path and who may read it")
}

// assembly is what files make together.
type assembly struct {
	domains map[string]*domain  // those without errors
	members map[string][]*file  // of each of domains
	bad     map[string]struct{} // domains that have an error in a file of theirs or between them
	faults  Faults              // of the files and of the domains
	groups  map[string]*group   // by domain
}

// group is the files of one domain, and what they make.
type group struct {
	files  []*file
	domain *domain // nil if there is an error
	faults Faults
}

// assemble groups files by domain and compiles each group. Also files with
// faults take part, so that all faults are known at once.
func assemble(files []*file, opts Options) assembly { return reassemble(nil, files, opts) }

// reassemble is assemble where some groups were compiled before: a group of the same
// files is not compiled again.
func reassemble(before map[string]*group, files []*file, opts Options) assembly {
	a := assembly{domains: map[string]*domain{}, members: map[string][]*file{}, bad: map[string]struct{}{}, groups: map[string]*group{}}
	groups, order := map[string][]*file{}, []string{}
	for _, f := range files {
		name := f.domain
		if len(groups[name]) == 0 {
			order = append(order, name)
		}
		groups[name] = append(groups[name], f)
	}
	for _, name := range order {
		g := before[name]
		if g == nil || !slices.Equal(g.files, groups[name]) {
			g = newGroup(name, groups[name], opts)
		}
		a.add(name, g)
	}
	return a
}

func (a *assembly) add(name string, g *group) {
	a.groups[name] = g
	if a.faults = append(a.faults, g.faults...); g.domain == nil {
		a.bad[name] = struct{}{}
		return
	}
	a.domains[name], a.members[name] = g.domain, g.files
}

// newGroup compiles one domain. Files whose domain is unknown share the empty name
// and are looked at one by one.
func newGroup(name string, files []*file, opts Options) *group {
	g := &group{files: files}
	if name != "" && !opts.MergeDomains {
		for _, f := range files[1:] {
			g.faults = append(g.faults, f.domainAt.fault(Error,
				fmt.Sprintf("the domain %s is also that of %s", quote(name), files[0].domainAt), "keep one file for each domain, or merge domains"))
		}
	}
	together := [][]*file{files}
	if name == "" || !opts.MergeDomains {
		together = slices.Collect(slices.Chunk(files, 1))
	}
	remember(files)
	for _, files := range together {
		d, found := compile(name, files, opts, &changing{})
		g.domain, g.faults = d, append(g.faults, found...)
	}
	for _, f := range files {
		g.faults = append(g.faults, f.faults...)
	}
	if name == "" || g.faults.Failed() {
		g.domain = nil
	}
	return g
}
