package descriptors

// What was read of a rule file is needed to compile it, and then only for a change
// that is set while weir runs, or when another file of its domain changes. Of 100,000
// rules it is 40 MB in 700,000 pieces, a third of all that the garbage collector walks
// over. So it is forgotten once it is compiled, and read again from the file's content.

// forget lets go of the file's rules.
func (f *file) forget() {
	if f.raw != nil {
		f.rules, f.forgotten = nil, true
	}
}

// remember reads files again that were forgotten.
func remember(files []*file) {
	for _, f := range files {
		if f.forgotten {
			again := f.again()
			again.keys, again.faults = f.keys, f.faults // a secret that was replaced since is for the next reload
			*f = *again
		}
	}
}

// again is the file read once more, from its content.
func (f *file) again() *file {
	return parseFile(&text{file: f.text.file, content: f.raw, dialect: f.text.dialect, path: f.text.path})
}

// forget lets go of the rules of all files, but for those of domains that changes are
// set for: where there is one change there are more to come, and to read 100,000 rules
// for each takes two seconds.
func (s *Source) forget() {
	keep := map[*file]bool{}
	for name := range s.changed {
		for _, f := range s.members[name] {
			keep[f] = true
		}
	}
	forget := func(files []*file) {
		for _, f := range files {
			if !keep[f] {
				f.forget()
			}
		}
	}
	for _, g := range s.groups {
		forget(g.files)
	}
	for _, files := range s.members { // of a domain that is kept, files as they were
		forget(files)
	}
}
