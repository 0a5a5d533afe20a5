package weir

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The requirements of the four systems and the faults of the systems that they
// come from, how many there are of each.
var (
	requirements = map[string]int{"C": 20, "W": 16, "G": 25, "M": 29}
	laterIDs     = []string{"C-09", "G-10", "G-16", "G-17"} // no test yet
	faultsOf     = map[string]int{"S": 6, "L": 9, "N": 19, "R": 4}
)

// docs/reference/systems.md names for each requirement, and for each fault of the systems
// that weir takes the place of, the tests that show it. Each is there and carries
// the number in its name.
func TestEveryRequirementNamesItsTests(t *testing.T) {
	page, err := os.ReadFile("docs/reference/systems.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{} // by number: the cell that names tests
	for _, row := range regexp.MustCompile(`(?m)^\| ([A-Z]-?\d+) \|([^|]*)\|([^|]*)\|`).FindAllStringSubmatch(string(page), -1) {
		if _, twice := rows[row[1]]; twice {
			t.Errorf("docs/reference/systems.md: %s stands there twice", row[1])
		}
		rows[row[1]] = row[3]
	}
	names := testNames(t)
	check := func(id string) {
		cell, there := rows[id]
		named := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1)
		if later := strings.TrimSpace(cell) == "later"; !there || len(named) == 0 && (!later || !slices.Contains(laterIDs, id)) {
			t.Errorf("docs/reference/systems.md: %s names no test", id)
		}
		delete(rows, id)
		carries := regexp.MustCompile(`(^|Test|_)` + id[:1] + `-?0?` + strings.TrimLeft(id[1:], "-0") + `(\D|$)`)
		for _, name := range named {
			if !names[name[1]] {
				t.Errorf("docs/reference/systems.md: %s: there is no test %s", id, name[1])
			}
			if !carries.MatchString(name[1]) {
				t.Errorf("docs/reference/systems.md: %s: the test %s does not carry the number", id, name[1])
			}
		}
	}
	for system, count := range requirements {
		for i := range count {
			check(fmt.Sprintf("%s-%02d", system, i+1))
		}
	}
	for list, count := range faultsOf {
		for i := range count {
			check(fmt.Sprintf("%s%d", list, i+1))
		}
	}
	for id := range rows {
		t.Errorf("docs/reference/systems.md: %s is no requirement", id)
	}
}

// testNames are the tests of the module: functions, and the names by which the
// stores' conformance suite and others run parts of them.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	functions := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)
	parts := regexp.MustCompile(`"([CWGM]-\d\d[^"\n]*|[SLNR]\d{1,2} [^"\n]*)"`)
	for _, s := range sources(t, 0, func(dir, name string) bool { return strings.HasSuffix(name, "_test.go") || exempt(dir) }) {
		text, err := os.ReadFile(s.name)
		if err != nil {
			t.Fatal(err)
		}
		for _, expression := range []*regexp.Regexp{functions, parts} {
			for _, found := range expression.FindAllStringSubmatch(string(text), -1) {
				names[found[1]] = true
			}
		}
	}
	return names
}
