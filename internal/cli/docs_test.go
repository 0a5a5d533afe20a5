package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	documentedFile    = regexp.MustCompile("(?s)<!-- file: (\\S+) -->\n```(?:yaml|json|csv)\n(.*?)```")
	documentedCommand = regexp.MustCompile("(?s)```sh\nweir ([^\n]*)\n```\n```text\n(.*?)```")
)

// The files of a page that has commands for rules, and what each command prints, are as
// the page shows them. -update writes what is printed into the page.
func TestDocumentedCommands_PrintWhatThePageShows(t *testing.T) {
	for page, commands := range map[string]int{"how-to/explain.md": 2, "how-to/testing-rules.md": 3, "how-to/simulate.md": 4} {
		t.Run(page, func(t *testing.T) {
			path, err := filepath.Abs("../../docs/" + page)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for _, f := range documentedFile.FindAllSubmatch(text, -1) {
				files[string(f[1])] = string(f[2])
			}
			inFiles(t, files)
			found := documentedCommand.FindAllSubmatch(text, -1)
			if len(found) != commands || strings.Count(string(text), "```sh\n") != commands {
				t.Fatalf("%d commands, want %d", len(found), commands)
			}
			for _, c := range found {
				got := weirHere(t, nil, strings.Fields(strings.ReplaceAll(string(c[1]), "'", ""))...)
				if got.stderr != "" || got.stdout != string(c[2]) {
					t.Errorf("weir %s: %s\n%s\nis shown as\n%s", c[1], got.stderr, got.stdout, c[2])
				}
				shown := strings.Replace(string(c[0]), "```text\n"+string(c[2]), "```text\n"+got.stdout, 1)
				text = []byte(strings.Replace(string(text), string(c[0]), shown, 1))
			}
			if *update {
				if err := os.WriteFile(path, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
