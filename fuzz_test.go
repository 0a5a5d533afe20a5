package weir

import (
	"go/ast"
	"go/parser"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A fuzz target that begins with nothing finds little in the seconds that it has: each has
// inputs to begin with, in its code or kept in testdata. What is kept is of a target that
// is there.
func TestFuzz_EveryTargetHasSeeds(t *testing.T) {
	targets := map[string]bool{} // "dir/name"
	for _, s := range sources(t, parser.SkipObjectResolution, func(_, name string) bool { return strings.HasSuffix(name, "_test.go") }) {
		for _, declared := range s.file.Decls {
			function, ok := declared.(*ast.FuncDecl)
			if !ok || function.Recv != nil || !strings.HasPrefix(function.Name.Name, "Fuzz") {
				continue
			}
			corpus := filepath.Join(s.dir, "testdata", "fuzz", function.Name.Name)
			targets[corpus] = true
			kept, _ := os.ReadDir(corpus)
			if len(kept) == 0 && !adds(function) {
				t.Errorf("%s has no inputs to begin with: call f.Add, or keep some in %s", s.set.Position(function.Pos()), corpus)
			}
			if len(kept) > 20 {
				t.Errorf("%s keeps %d inputs: keep the 20 that differ most", corpus, len(kept))
			}
		}
	}
	kept, err := filepath.Glob("*/testdata/fuzz/*")
	below, err2 := filepath.Glob("*/*/testdata/fuzz/*")
	if err != nil || err2 != nil || len(targets) < 20 {
		t.Fatalf("%d targets, %v, %v", len(targets), err, err2)
	}
	for _, corpus := range append(kept, below...) {
		if !targets[corpus] {
			t.Errorf("%s is of no target: has that another name by now?", corpus)
		}
	}
}

// adds tells whether a fuzz target has seeds in its code.
func adds(function *ast.FuncDecl) (found bool) {
	ast.Inspect(function, func(n ast.Node) bool {
		if call, ok := n.(*ast.SelectorExpr); ok {
			f, _ := call.X.(*ast.Ident)
			found = found || f != nil && f.Name == "f" && call.Sel.Name == "Add"
		}
		return true
	})
	return found
}
