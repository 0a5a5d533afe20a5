package weir

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	fencedBlock = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	link        = regexp.MustCompile(`!?\[[^\]]*\]\(([^)\s]+)\)`)
	heading     = regexp.MustCompile(`(?m)^#{1,6} +(.*?) *$`)
	anchor      = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	unanchored  = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_ -]`)
)

// pages are the paths of all Markdown files of the project.
func pages(t *testing.T) []string {
	t.Helper()
	found := files(t, ".md")
	if len(found) < 30 {
		t.Fatalf("only %d Markdown files are found", len(found))
	}
	return found
}

// files are the paths of the project's files whose names end so.
func files(t *testing.T, ends ...string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return filepath.SkipDir
		case slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(path, end) }):
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// anchors are the fragments by which places of a page are linked, as GitHub makes them of
// its headings.
func anchors(page string) map[string]bool {
	page = fencedBlock.ReplaceAllString(page, "")
	found := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(page, -1) {
		text := link.ReplaceAllStringFunc(h[1], func(l string) string { return l[strings.Index(l, "[")+1 : strings.Index(l, "]")] })
		found[strings.ReplaceAll(unanchored.ReplaceAllString(strings.ToLower(text), ""), " ", "-")] = true
	}
	for _, a := range anchor.FindAllStringSubmatch(page, -1) {
		found[a[1]] = true
	}
	return found
}

// What a page links to is there: the file, and the place in it.
func TestLinksBetweenPagesLead(t *testing.T) {
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range link.FindAllStringSubmatch(fencedBlock.ReplaceAllString(string(text), ""), -1) {
			target, err := url.Parse(l[1])
			if err != nil || target.Scheme != "" {
				continue
			}
			path := page
			if target.Path != "" {
				path = filepath.Join(filepath.Dir(page), target.Path)
			}
			linked, err := os.ReadFile(path)
			if info, statErr := os.Stat(path); statErr != nil {
				t.Errorf("%s links to %s: %v", page, l[1], statErr)
				continue
			} else if info.IsDir() {
				linked = nil
			} else if err != nil {
				t.Fatal(err)
			}
			if target.Fragment != "" && !anchors(string(linked))[target.Fragment] {
				t.Errorf("%s links to %s: there is no such heading", page, l[1])
			}
		}
	}
}

// What names a place of the documentation by its address, as alert rules do, names one that is there.
func TestAddressesOfPagesLead(t *testing.T) {
	address := regexp.MustCompile(`https://github\.com/weir-rls/weir/blob/main/([\w./-]+\.md)(?:#([\w-]+))?`)
	for _, path := range files(t, ".md", ".yaml", ".yml", ".json", ".go", ".tpl", ".html", ".txt") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range address.FindAllStringSubmatch(string(text), -1) {
			page, err := os.ReadFile(found[1])
			if err != nil || found[2] != "" && !anchors(string(page))[found[2]] {
				t.Errorf("%s names %s: there is no such page or heading", path, found[0])
			}
		}
	}
}

// A reader of the index finds every page.
func TestTheIndexHasEveryPageOfTheDocumentation(t *testing.T) {
	index, err := os.ReadFile("docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages(t) {
		name, ok := strings.CutPrefix(filepath.ToSlash(page), "docs/")
		if ok && name != "README.md" && !strings.Contains(string(index), "]("+name+")") {
			t.Errorf("docs/README.md does not link to %s", name)
		}
	}
}
