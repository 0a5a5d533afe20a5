package generate

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/envoy"
)

// tree writes random rules: keys and values of few letters, so that rules stand in each
// other's way.
type tree struct {
	*rand.Rand
	text  strings.Builder
	keys  map[string]bool
	names int
}

func (g *tree) rules(indent string, depth int, grouped bool) {
	first := g.IntN(4) == 0 && depth > 0 && !grouped // a group of a group is none
	taken := map[string]bool{}
	for range 1 + g.IntN(3) {
		key := string("abcdef"[g.IntN(6)])
		what := "key: " + key
		if first {
			what = "first_of: [g, h], value: " + string("xyz"[g.IntN(3)])
			g.keys["g"], g.keys["h"] = true, true
		} else {
			g.keys[key] = true
			what += []string{"", ", value: x", ", value: y", `, value: "x*"`, `, value_regex: "y+"`}[g.IntN(5)]
		}
		if first = false; taken[what] {
			continue
		}
		taken[what] = true
		fmt.Fprintf(&g.text, "%s- %s\n", indent, strings.ReplaceAll(what, ", value", "\n"+indent+"  value"))
		below := depth > 0 && g.IntN(2) == 0
		if !below || g.IntN(2) == 0 {
			g.names++
			more := []string{"", ", weight: {by: p, values: {x: 2}, default: 1}, burst: 9", ", max_wait: 3s", ", count: success, algorithm: sliding_window"}[g.IntN(4)]
			g.keys["p"] = g.keys["p"] || strings.Contains(more, "by: p")
			fmt.Fprintf(&g.text, "%s  limits: [{name: n%d, rate: 9/s%s}]\n", indent, g.names, more)
		}
		if below {
			fmt.Fprintf(&g.text, "%s  descriptors:\n", indent)
			g.rules(indent+"    ", depth-1, strings.HasPrefix(what, "first_of"))
		}
	}
}

// mapping has all keys of the rules, each from somewhere that can have every value.
func (g *tree) mapping() string {
	text := "keys:\n"
	for _, key := range slices.Sorted(func(yield func(string) bool) {
		for key, used := range g.keys {
			if used && !yield(key) {
				return
			}
		}
	}) {
		text += "  " + key + ": " + []string{
			"{header: x-" + key + "}", "{claim: " + key + "}", "{path: /" + key + "/*}", "{query: " + key + "}", "{cookie: " + key + "}", "{metadata: [m, " + key + "]}",
		}[g.IntN(6)] + "\n"
	}
	return text
}

// Whatever the rules, what is written reaches each of them, as weir check sees it, or it
// is told which not and why.
func TestGenerate_ReachesEveryRuleOfRandomTrees(t *testing.T) {
	reached, told := 0, 0
	for seed := range uint64(200) {
		g := &tree{Rand: rand.New(rand.NewPCG(seed, 8)), keys: map[string]bool{}}
		g.text.WriteString("domain: random\npassive: [p]\nmatching: " + []string{"exact", "best"}[g.IntN(2)] + "\ndescriptors:\n")
		g.rules("  ", 3, false)
		dir := t.TempDir()
		rules, mapping := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "mapping.yaml")
		write(t, rules, []byte(g.text.String()))
		stated := g.mapping()
		write(t, mapping, []byte(stated))
		survey, faults := descriptors.Examine([]string{rules}, descriptors.Options{})
		if faults.Failed() || len(survey.Rules("random")) == 0 {
			continue // two rules of one name, or none with limits
		}
		files, faults := Generate(survey, mapping, options("complete"))
		if faults.Failed() {
			if told++; !strings.Contains(faults.Text(), "charged twice") {
				t.Errorf("seed %d: %s\n%s%s", seed, faults.Text(), g.text.String(), stated)
			}
			continue
		}
		reached++
		name := filepath.Join(dir, files[0].Name)
		write(t, name, files[0].Content)
		for _, f := range envoy.Check(survey, []string{name}, envoy.Version{}) {
			t.Errorf("seed %d: %s\n%s%s%s", seed, f.Text(), g.text.String(), stated, files[0].Content)
		}
		if t.Failed() {
			return
		}
	}
	if t.Logf("%d reached, %d told", reached, told); reached < 100 {
		t.Errorf("only %d of the trees were sound", reached)
	}
}
