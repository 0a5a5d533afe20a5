package settings

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the list of variables in docs/reference/drop-in.md anew")

const reference = "../../docs/reference/drop-in.md"

// begun is what the list begins after; it goes on to the end of the page.
const begun = "\n## Variables\n"

// The list on the page is what the tags say, always.
func TestPage_ListsEachVariableWithItsDefaultAndMeaning(t *testing.T) {
	page, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	text, got, found := strings.Cut(string(page), begun)
	if !found {
		t.Fatalf("%s has no%s", reference, begun)
	}
	want := list(read(t))
	if *update {
		if err := os.WriteFile(reference, []byte(text+begun+want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != want {
		t.Errorf("%s is stale: go test ./ratelimit/settings -run TestPage -update", reference)
	}
}

func list(defaults Settings) string {
	var b strings.Builder
	group := ""
	for _, v := range variables() {
		if v.group != group {
			group = v.group
			fmt.Fprintf(&b, "\n### %s\n\n", group)
			if v.about != "" {
				fmt.Fprintf(&b, "%s\n\n", v.about)
			}
			b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
		}
		usage := v.usage
		if v.unused != "" {
			usage += " Has no effect: " + v.unused + "."
		}
		if v.own && !strings.HasPrefix(v.name, "WEIR_") {
			usage += " (weir's own)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.name, shown(v.value(defaults)), strings.ReplaceAll(usage, "|", `\|`))
	}
	return b.String()
}

// shown is a default as a reader would write it.
func shown(v reflect.Value) string {
	text := fmt.Sprint(v.Interface())
	switch {
	case v.Kind() == reflect.Map, v.Kind() == reflect.Slice, text == "":
		return "none"
	case v.Type() == secret:
		text = v.String()
		if text == "" {
			return "none"
		}
	}
	for _, zero := range []string{"m0s", "h0m"} { // 24h0m0s is 24h
		if strings.HasSuffix(text, zero) {
			text = strings.TrimSuffix(text, zero[1:])
		}
	}
	return "`" + text + "`"
}
