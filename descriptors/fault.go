package descriptors

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity tells whether a fault keeps a file from being used.
type Severity uint8

const (
	Error   Severity = iota // the file's domain keeps its last good rules
	Warning                 // the file is used; what it says may surprise
	Note                    // worth a decision, and right as it is if that was one
)

func (s Severity) String() string { return [...]string{"error", "warning", "note"}[s] }

// Fault is one thing wrong with a rule file, with its place. Its texts are
// bounded and free of control characters, whatever the file holds, so that they
// may go to a terminal or a log as they are.
type Fault struct {
	File     string // as given, escaped
	Path     string // where the fault is in what has no lines, such as descriptors[0](user).rate_limit; else empty
	Line     int    // counted from 1; 0 where the file as a whole is meant, or there is a Path
	Column   int    // in characters, counted from 1; 0 with Line
	Severity Severity
	ID       string // of the kind of fault, where kinds have one
	Message  string // what is wrong
	Remedy   string // what to write instead; may be empty

	Excerpt string // the line in question, or the part of a long one around Column; empty with Line 0
	Caret   int    // terminal cells of Excerpt before the place
}

// FileFault is a fault of a file or a directory as a whole. Its texts may be any.
func FileFault(s Severity, name, message, remedy string) Fault {
	return place{text: newText(name, nil)}.fault(s, printable(message, maxMessage), remedy)
}

// Error is the fault in one line: "file:line:column: error: message: remedy [id]", or
// with the path in place of line and column.
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	if f.Path != "" {
		b.WriteString(": " + f.Path)
	}
	fmt.Fprintf(&b, ": %v: %s", f.Severity, f.Message)
	if f.Remedy != "" {
		b.WriteString(": ")
		b.WriteString(f.Remedy)
	}
	if f.ID != "" {
		b.WriteString(" [" + f.ID + "]")
	}
	return b.String()
}

// Text is the fault for a reader at a terminal: the line of [Fault.Error], the
// line of the file and a caret under the place, each ended by a newline.
func (f Fault) Text() string {
	if f.Line == 0 {
		return f.Error() + "\n"
	}
	line := strings.TrimRight("    "+f.Excerpt, " ")
	return fmt.Sprintf("%s\n%s\n    %s^\n", f.Error(), line, strings.Repeat(" ", f.Caret))
}

// Faults are the faults of one or several files, in order of file and place.
type Faults []Fault

// Failed tells whether a fault is an error and not only a warning.
func (fs Faults) Failed() bool { return fs.Count(Error) > 0 }

// Count is the number of faults of one severity.
func (fs Faults) Count(s Severity) int {
	n := 0
	for _, f := range fs {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Text is the text of all faults, see [Fault.Text].
func (fs Faults) Text() string {
	var b strings.Builder
	for _, f := range fs {
		b.WriteString(f.Text())
	}
	return b.String()
}

// maxFaults bounds the errors, and the warnings, that one file can fill a
// terminal with.
const maxFaults = 1000

// tooMany stands for the faults past the bound.
func tooMany(s Severity) string {
	return fmt.Sprintf("more than %d %vs, the others are not shown", maxFaults, s)
}

// Tidy orders the faults of several rooms as those of one.
func (fs Faults) Tidy() Faults { return fs.tidy() }

// tidy orders the faults and drops repeated ones: an alias shows one mistake
// several times at one place.
func (fs Faults) tidy() Faults {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(fs)
}
