package envoy

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/descriptors"
)

// What only an older Envoy does wrong is told unless it is said that none reads the files, by
// the caller or by a dump of the Envoy that runs.
func TestCheck_TellsOfOlderEnvoysUnlessThereAreNone(t *testing.T) {
	const dir = "testdata/wrong/hits-uncharged"
	survey, faults := descriptors.Examine([]string{filepath.Join(dir, "rules")}, descriptors.Options{})
	if len(faults) > 0 {
		t.Fatal(faults.Text())
	}
	file := filepath.Join(dir, "envoy.yaml")
	for version, told := range map[Version]bool{{}: true, {1, 38}: true, {1, 39}: true, {1, 40}: false, {1, 41}: false, {2, 0}: false} {
		if found := Check(survey, []string{file}, version); (len(found) > 0) != told {
			t.Errorf("%v: %s", version, found.Text())
		}
	}
	for minors, told := range map[string]bool{"39": true, "40": false, "40 39": true, "39 40": true} { // of two the older one counts
		var dumps []string
		for _, minor := range strings.Fields(minors) {
			dump := filepath.Join(t.TempDir(), "envoy.yaml")
			write(t, dump, read(t, file)+"node: {user_agent_build_version: {version: {major_number: 1, minor_number: "+minor+", patch: 1}}}\n")
			dumps = append(dumps, dump)
		}
		if found := Check(survey, dumps, Version{}); strings.Contains(found.Text(), "hits-uncharged") != told {
			t.Errorf("dumps of 1.%s: %s", minors, found.Text())
		}
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]Version{"1.40": {1, 40}, "v1.38.3": {1, 38}, "": {}, "1": {}, "1.x": {}, "1.2.3.4": {}, "-1.2": {}, "latest": {}} {
		got, err := ParseVersion(text)
		if got != want || (err == nil) != (want != Version{}) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
