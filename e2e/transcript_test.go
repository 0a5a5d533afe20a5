package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/parts"
)

// transcript is what a user did and saw, with the seconds since it began, and the ports that pages have.
type transcript struct {
	began time.Time
	shell *shell
	text  strings.Builder
}

// step is what the user does: a command after "$ ", or something in the browser after "> ".
func (r *transcript) step(what string) { r.write(what) }

// output is what is printed, line by line.
func (r *transcript) output(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		r.write("  " + line)
	}
}

func (r *transcript) write(line string) {
	line = strings.TrimRight(fmt.Sprintf("%6.1f s  %s", time.Since(r.began).Seconds(), r.shell.asOnPages(line)), " ")
	r.text.WriteString(line + "\n")
}

// steps are what the user did in a transcript, without the times.
func steps(text string) string {
	return strings.Join(regexp.MustCompile(`(?m)[$>] .*$`).FindAllString(text, -1), "\n")
}

// keep writes the transcript into .artefacts of the checkout, and holds its steps against those of the
// one that the pages lead to, which -update writes anew.
func (r *transcript) keep(t *testing.T) {
	t.Helper()
	root, err := parts.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	text := "A new user follows README.md: a line of TestNewUser_FromTheReadmeToALimitChangedInTheBrowser each,\n" +
		"with the seconds since it began. $ is a command, > is done in the browser. `make transcript` writes it.\n\n" + r.text.String()
	made := filepath.Join(root, ".artefacts", "new-user.txt")
	if err := os.MkdirAll(filepath.Dir(made), 0o755); err != nil {
		t.Fatal(err)
	}
	shown := filepath.Join(root, "docs", "tutorial", "new-user.txt")
	places := []string{made}
	if *update {
		places = append(places, shown)
	}
	for _, place := range places {
		if err := os.WriteFile(place, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if was := steps(string(read(t, shown))); was != steps(text) {
		t.Errorf("docs/tutorial/new-user.txt has other steps than the README: run make transcript\n%s\n\nand these are\n%s", was, steps(text))
	}
}
