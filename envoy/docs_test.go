package envoy

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const (
	tableBegins = "| id | severity | what is found |\n|---|---|---|\n"
	page        = "../docs/reference/checking.md"
)

// The page lists every finding, in the words of the code.
func TestDocs_TheTableIsTheCodes(t *testing.T) {
	var want strings.Builder
	for _, d := range Diagnostics {
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", d.ID, d.Severity, strings.ReplaceAll(d.About, "|", `\|`))
	}
	text := read(t, page)
	before, rest, found := strings.Cut(text, tableBegins)
	if !found {
		t.Fatalf("%s has no table that begins with\n%s", page, tableBegins)
	}
	got, after, _ := strings.Cut(rest, "\n\n")
	if *update {
		if err := os.WriteFile(page, []byte(before+tableBegins+want.String()+"\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got+"\n" != want.String() {
		t.Errorf("the table of %s is not that of the code: go test ./envoy -run TheTableIsTheCodes -update", page)
	}
}

// Ids are what people write into comments and code hosts keep: words in kebab case.
func TestDiagnostics_IdsAreStableWords(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Diagnostics {
		if seen[d.ID] || d.ID != strings.ToLower(d.ID) || strings.ContainsAny(d.ID, " _.") || !strings.HasSuffix(d.About, ".") {
			t.Errorf("%+v", d)
		}
		seen[d.ID] = true
	}
}
