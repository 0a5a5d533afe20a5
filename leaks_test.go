package weir

import (
	"go/ast"
	"go/parser"
	"strings"
	"testing"
)

// Every package with tests looks for goroutines that outlive them, so that a new one
// cannot forget to.
func TestLeaks_EveryPackageWithTestsLooksForThem(t *testing.T) {
	looks := map[string]bool{}
	for _, s := range sources(t, parser.SkipObjectResolution, func(_, name string) bool { return strings.HasSuffix(name, "_test.go") }) {
		looks[s.dir] = looks[s.dir] || verifiesLeaks(s.file)
	}
	for dir, does := range looks {
		if !does {
			t.Errorf("%s: no TestMain calls goleak.VerifyTestMain: add one, as buckets/guard/main_test.go does", dir)
		}
	}
	if len(looks) < 20 {
		t.Errorf("only %d packages have tests: does the walk look in the wrong place?", len(looks))
	}
}

// verifiesLeaks tells whether a file has a TestMain that fails where a goroutine is left.
func verifiesLeaks(file *ast.File) (verifies bool) {
	for _, declared := range file.Decls {
		function, ok := declared.(*ast.FuncDecl)
		if !ok || function.Recv != nil || function.Name.Name != "TestMain" {
			continue
		}
		ast.Inspect(function, func(n ast.Node) bool {
			if call, ok := n.(*ast.SelectorExpr); ok {
				pkg, _ := call.X.(*ast.Ident)
				verifies = verifies || pkg != nil && (pkg.Name == "goleak" && call.Sel.Name == "VerifyTestMain" || pkg.Name == "stagetest" && call.Sel.Name == "Main")
			}
			return true
		})
	}
	return verifies
}
