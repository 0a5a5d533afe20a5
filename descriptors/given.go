package descriptors

import "bytes"

// Given is a rule file that another room got, as that room wrote it in the language of
// rule files, or found.
type Given struct {
	Name    string // what faults call it, any text; no two at a time have the same
	File    string // where it is on disk, to be read from there; empty if it is not
	Content []byte // of what is not on disk, which must not change any more
	// Path names what stands at a place of Content, line and column counted from 1, as
	// whoever sent it knows it.
	Path   func(line, column int) string
	Unread string // why there is no Content, of any length; empty if there is
}

// Replace is [Source.Reload] for who is given rule files instead of having a path. All
// are the files there are now; where whole is false, some had no name, and those of before
// that are not among all stay. That there are none is no fault, and the domains are
// removed.
func (s *Source) Replace(all []Given, whole bool) Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.finish()
	files := map[string]*file{}
	for _, g := range all {
		files[g.Name] = s.given(g)
	}
	changed := false
	for name, before := range s.files {
		if _, had := s.home[name]; files[name] == nil && !whole && (had || before.unread == "") {
			files[name] = before
		}
		changed = changed || files[name] != before
	}
	changed = changed || len(files) != len(s.files)
	none := len(all) == 0 && whole && s.Rules() == nil
	if !changed && !none && s.broken == "" {
		return Report{}
	}
	s.broken = ""
	report := s.adopt(files)
	if none {
		s.rules.Store(newRules(s.domains))
	}
	return report
}

// Lose is [Source.Replace] for who cannot tell which rule files there are, because of
// what f says: everything is kept.
func (s *Source) Lose(f Fault) Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost(f)
}

// given is the file that was given: that of before, if it is the same.
func (s *Source) given(g Given) *file {
	if g.File != "" {
		return s.onDisk(g.Name, g.File)
	}
	before := s.files[g.Name]
	if before != nil && before.unread == g.Unread && bytes.Equal(before.raw, g.Content) {
		return before
	}
	if g.Unread != "" {
		return &file{text: newText(g.Name, nil), unread: g.Unread, faults: Faults{FileFault(Error, g.Name, g.Unread, "")}}
	}
	if len(g.Content) >= largeFile {
		s.begin()
	}
	t := s.options.Dialect.text(g.Name, g.Content)
	t.path = g.Path
	return parseFile(t)
}
