package descriptors

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Source keeps the rules of a path, a file or a directory of them, in step with
// what stands there, or with what [Source.Replace] is given.
type Source struct {
	path    string
	options Options
	rules   atomic.Pointer[Rules]
	poll    time.Duration

	mu      sync.Mutex
	files   map[string]*file
	broken  string             // what was wrong with the path itself at the last reload
	faults  Faults             // that there were at the last reload
	domains map[string]*domain // as the files state them
	members map[string][]*file // of each of domains
	groups  map[string]*group  // what the files made at the last reload, by domain
	home    map[string]string  // the domain that each file last took part in, by file name
	sizes   map[PoolID]int64   // what pools hold instead of what is stated

	outlining sync.Mutex // held by who uses the next
	outlined  keptOutline

	done func() // of Options.Large, nil while no large file is read

	changes []Change            // that are set
	changed map[string]*changed // by domain
}

// Report says what a reload found.
type Report struct {
	Changed bool           // something is not as it was at the reload before; if not, the rest is empty
	Domains []DomainReport // in order of names
	Faults  Faults         // all there are now, also those of files that did not change
	Changes []ChangeFault  // why changes that are set do not fit the rules as they are now
}

// DomainReport says what became of one domain.
type DomainReport struct {
	Name  string
	State DomainState
}

// DomainState is what became of a domain in a reload.
type DomainState uint8

const (
	Unchanged DomainState = iota
	Loaded                // its new rules are live
	Kept                  // its files have errors; its last good rules stay live
	Refused               // its files have errors and it never had good rules
	Removed               // its files are gone and so are its rules
)

func (s DomainState) String() string {
	return [...]string{"unchanged", "loaded", "kept", "refused", "removed"}[s]
}

// NewSource makes a source. It has no rules until [Source.Reload] finds some.
func NewSource(path string, opts Options) *Source {
	return &Source{
		path: path, options: opts, poll: pollEvery,
		files: map[string]*file{}, domains: map[string]*domain{}, members: map[string][]*file{}, home: map[string]string{},
	}
}

// Rules is the snapshot that is live, nil until a domain was ever loaded.
func (s *Source) Rules() *Rules { return s.rules.Load() }

// Faults are what was wrong with the files at the last reload.
func (s *Source) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.faults)
}

// Reload reads what changed and makes it live, domain by domain: one that has
// an error in any of its files, or between them, keeps its last good rules as a
// whole. A file that has errors goes on counting for the domain it was last
// part of. A domain without files is removed. If the path itself cannot be read
// everything is kept.
func (s *Source) Reload() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := list(s.path)
	if err != nil {
		return s.lost(fileFault(s.path, err))
	}
	defer s.finish()
	files, changed := s.read(names)
	trouble := ""
	if len(names) == 0 {
		trouble = "empty"
	}
	if !changed && s.broken == trouble {
		return Report{}
	}
	s.broken = trouble
	report := s.adopt(files)
	if trouble != "" {
		s.faults = Faults{noFiles(s.path, Error)}
		report.Faults = s.faults
	}
	return report
}

// lost reports that rule files cannot be found because of f, and keeps everything.
func (s *Source) lost(f Fault) Report {
	if s.broken == f.Error() {
		return Report{}
	}
	s.broken, s.faults = f.Error(), Faults{f}
	return Report{Changed: true, Faults: s.faults, Domains: s.kept()}
}

// adopt makes files live in place of those before.
func (s *Source) adopt(files map[string]*file) Report {
	s.files = files
	var all []*file
	for _, name := range slices.Sorted(maps.Keys(files)) {
		all = append(all, files[name])
	}
	a := reassemble(s.groups, all, s.options)
	s.groups = a.groups
	frozen := s.frozen(all, a.bad)
	if s.options.AllOrNothing && a.faults.Failed() {
		for _, domains := range []map[string]*domain{s.domains, a.domains} {
			for name := range domains {
				frozen[name] = struct{}{}
			}
		}
	}
	report := Report{Changed: true, Faults: a.faults.tidy(), Domains: s.merge(a, frozen)}
	s.faults = report.Faults
	s.settle(all, frozen)
	s.changed, report.Changes = s.change(s.changes)
	s.publish()
	s.forget()
	return report
}

func (s *Source) kept() []DomainReport {
	var reports []DomainReport
	for _, name := range slices.Sorted(maps.Keys(s.domains)) {
		reports = append(reports, DomainReport{name, Kept})
	}
	return reports
}

// read reads the named files; one with the content it had is not parsed again.
func (s *Source) read(names []string) (files map[string]*file, changed bool) {
	files = map[string]*file{}
	changed = len(names) != len(s.files)
	for _, name := range names {
		files[name] = s.onDisk(name, name)
		changed = changed || files[name] != s.files[name]
	}
	return files, changed
}

// onDisk reads the file at path, which faults call name: it is that of before, if it is
// the same.
func (s *Source) onDisk(name, path string) *file {
	before := s.files[name]
	var held []byte
	if before != nil {
		held = before.raw
	}
	content, err := readBounded(path, held)
	switch {
	case err != nil:
		now := unreadable(name, err)
		if before != nil && before.unread == now.unread {
			return before
		}
		return now
	case before != nil && before.unread == "" && bytes.Equal(before.raw, content) && !before.keys.stale():
		return before
	}
	if len(content) >= largeFile {
		s.begin()
	}
	return parseFile(s.options.Dialect.text(name, content))
}

// begin tells that a large file is read, until finish.
func (s *Source) begin() {
	if s.done == nil && s.options.Large != nil && s.Rules() != nil {
		s.done = s.options.Large()
	}
}

func (s *Source) finish() {
	if s.done != nil {
		s.done()
		s.done = nil
	}
}

// frozen names the domains that keep what they have: those with errors, and
// those that a file leaves for one of them, as its rules would be live in
// neither.
func (s *Source) frozen(files []*file, bad map[string]struct{}) map[string]struct{} {
	frozen := maps.Clone(bad)
	for grown := true; grown; {
		grown = false
		for _, f := range files {
			_, held := frozen[f.domain]
			home, had := s.home[f.text.file]
			if _, known := frozen[home]; held && had && !known {
				frozen[home], grown = struct{}{}, true
			}
		}
	}
	return frozen
}

// merge takes over what was compiled of the domains that are not frozen, and
// reports on each domain.
func (s *Source) merge(a assembly, frozen map[string]struct{}) []DomainReport {
	state := map[string]DomainState{}
	for name := range s.domains {
		if _, held := frozen[name]; held {
			state[name] = Kept
		} else if a.domains[name] == nil {
			state[name] = Removed
			delete(s.domains, name)
			delete(s.members, name)
		}
	}
	for name, d := range a.domains {
		if _, held := frozen[name]; held {
			continue
		}
		if slices.Equal(s.members[name], a.members[name]) {
			state[name] = Unchanged
			continue
		}
		state[name] = Loaded
		s.domains[name], s.members[name] = d, a.members[name]
	}
	for name := range frozen {
		if _, had := state[name]; !had && name != "" {
			state[name] = Refused
		}
	}
	var reports []DomainReport
	for _, name := range slices.Sorted(maps.Keys(state)) {
		reports = append(reports, DomainReport{name, state[name]})
	}
	return reports
}

// settle notes which domain each file is now part of.
func (s *Source) settle(files []*file, frozen map[string]struct{}) {
	home := map[string]string{}
	for _, f := range files {
		name := f.text.file
		if _, held := frozen[f.domain]; !held {
			home[name] = f.domain
		} else if before, had := s.home[name]; had {
			home[name] = before
		}
	}
	s.home = home
}
