package weir

import (
	"go/ast"
	"go/parser"
	"strings"
	"testing"
)

const (
	maxFileLines     = 400
	maxFunctionLines = 60
	maxMainLines     = 25 // cmd is a doorbell: what it does beyond ringing cannot be tested in-process
)

// longer are the files ("dir/file.go") and functions ("dir/file.go:name") that
// may be longer, each with the reason: one clear subject in one long piece is
// better than two with a seam through it.
var longer = map[string]string{}

// A mirror for readability: what has grown past it is told, with a way out.
func TestSizes_NoFileOver400LinesNoFunctionOver60(t *testing.T) {
	met := map[string]bool{}
	tooLong := func(name, what string, lines, most int) {
		met[name] = lines > most || met[name]
		if lines > most && longer[name] == "" {
			t.Errorf("%s: %d lines, more than %d: split %s by subject, or say in the list beside this test why it is better whole", name, lines, most, what)
		}
	}
	for _, s := range sources(t, parser.SkipObjectResolution, func(_, name string) bool { return !strings.HasSuffix(name, "_test.go") }) {
		line := func(n ast.Node) (first, last int) { return s.set.Position(n.Pos()).Line, s.set.Position(n.End()).Line }
		most := maxFileLines
		if within(s.dir, "cmd") {
			most = maxMainLines
		}
		tooLong(s.name, "the file", s.set.File(s.file.FileStart).LineCount(), most)
		for _, declared := range s.file.Decls {
			if function, ok := declared.(*ast.FuncDecl); ok {
				first, last := line(function)
				tooLong(s.name+":"+function.Name.Name, "the function", last-first+1, maxFunctionLines)
			}
		}
	}
	for name := range longer {
		if !met[name] {
			t.Errorf("%s is not too long any more: take it off the list", name)
		}
	}
}
