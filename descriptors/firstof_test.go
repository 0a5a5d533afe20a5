package descriptors

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// chooser is a list of descriptors in which the first of several entries may
// decide, as the language defines it.
type chooser struct {
	keys   []string // of its first_of
	values map[string]*chooser
	exact  map[Entry]*chooser
	any    map[string]*chooser
	limit  string
}

func (c *chooser) yaml(indent string) string {
	s := ""
	rule := func(entry, value string, below *chooser) {
		s += indent + "- " + entry + "\n"
		if value != "" {
			s += indent + "  value: " + value + "\n"
		}
		if below.limit != "" {
			s += indent + "  limits: [{rate: 1/s, name: " + below.limit + "}]\n"
		}
		if children := below.yaml(indent + "    "); children != "" {
			s += indent + "  descriptors:\n" + children
		}
	}
	for _, value := range sorted(c.values) {
		rule("first_of: ["+strings.Join(c.keys, ", ")+"]", value, c.values[value])
	}
	for _, e := range []Entry{{"c", "x"}, {"d", "x"}} {
		if below := c.exact[e]; below != nil {
			rule("key: "+e.Key, e.Value, below)
		}
	}
	for _, key := range sorted(c.any) {
		rule("key: "+key, "", c.any[key])
	}
	return s
}

func sorted(m map[string]*chooser) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// meet is the limit that entries meet, none of them passive.
func (c *chooser) meet(es []Entry) string {
	if len(es) == 0 {
		return c.limit
	}
	if len(c.values) > 0 && slices.Contains(c.keys, es[0].Key) {
		end := slices.IndexFunc(es, func(e Entry) bool { return !slices.Contains(c.keys, e.Key) })
		if end < 0 {
			end = len(es)
		}
		for _, key := range c.keys {
			for _, e := range es[:end] {
				if below := c.values[e.Value]; e.Key == key && below != nil {
					return below.meet(es[end:])
				}
			}
		}
		return c.meet(es[end:])
	}
	if below := c.exact[es[0]]; below != nil {
		return below.meet(es[1:])
	}
	if below := c.any[es[0].Key]; below != nil {
		return below.meet(es[1:])
	}
	return ""
}

func drawChooser(t *rapid.T, depth int, names *int) *chooser {
	c := &chooser{keys: []string{"b", "a"}, values: map[string]*chooser{}, exact: map[Entry]*chooser{}, any: map[string]*chooser{}}
	if rapid.Bool().Draw(t, "limited") {
		*names++
		c.limit = fmt.Sprintf("limit%d", *names)
	}
	if depth == 0 {
		return c
	}
	for _, value := range []string{"x", "z"} {
		if rapid.Bool().Draw(t, "value") {
			c.values[value] = drawChooser(t, depth-1, names)
		}
	}
	for _, key := range []string{"c", "d"} {
		if rapid.Bool().Draw(t, "exact") {
			c.exact[Entry{key, "x"}] = drawChooser(t, depth-1, names)
		}
		if rapid.Bool().Draw(t, "any") {
			c.any[key] = drawChooser(t, depth-1, names)
		}
	}
	return c
}

// Trees with first_of meet what its definition says, whichever of its entries are
// sent, in whatever order, and with passive entries anywhere between.
func TestFirstOf_MeetsWhatItsDefinitionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := 0
		root := drawChooser(t, 3, &names)
		root.limit = ""
		tree := root.yaml("  ")
		if tree == "" {
			return
		}
		a := assemble([]*file{parse(newText("x.yaml", []byte("domain: llm\npassive: [p]\ndescriptors:\n"+tree)))}, Options{})
		if a.faults.Failed() {
			t.Fatalf("%s\n%s", tree, a.faults.Text())
		}
		r := newRules(a.domains)
		for range 30 {
			var all, active []Entry
			for range rapid.IntRange(1, 5).Draw(t, "entries") {
				e := Entry{rapid.SampledFrom([]string{"a", "b", "c", "d", "p"}).Draw(t, "key"), rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "value")}
				if all = append(all, e); e.Key != "p" {
					active = append(active, e)
				}
			}
			if len(active) == 0 {
				continue
			}
			var met []string
			for _, m := range r.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{{Entries: all}}}).Matches {
				met = append(met, m.Limit.Name)
			}
			if got, want := strings.Join(met, " "), root.meet(active); got != want {
				t.Fatalf("%v meets %q, want %q, in\n%s", all, got, want, tree)
			}
		}
	})
}

// Under `matching: best` the chosen value is no choice to go back to either, and
// entries beyond the rule are left over.
func TestFirstOf_UnderBestMatching(t *testing.T) {
	r := rulesOf(t, `
domain: llm
matching: best
descriptors:
  - {first_of: [a, b], value: x, limits: [{name: x, rate: 1/s}], descriptors: [{key: c, value: 1, limits: [{name: x1, rate: 1/s}]}]}
  - {first_of: [a, b], value: z, descriptors: [{key: c, value: 1, limits: [{name: z1, rate: 1/s}]}]}
  - {key: c, limits: [{name: c, rate: 1/s}], descriptors: [{key: d, limits: [{name: cd, rate: 1/s}]}]}
`)
	for desc, want := range map[string]string{
		"a=x": "x", "b=x": "x", "b=x a=z c=1": "z1", "a=x c=1": "x1", "a=x c=2": "x", "b=x weir.end=1 a=y c=1 d=2": "x1", "a=z c=2": "", "a=y c=2": "c",
		"b=y a=y c=2 d=3 e=4": "cd", "c=1 a=x": "c", "a=y": "",
	} {
		var met []string
		for _, m := range r.Resolve(request(desc)).Matches {
			met = append(met, m.Limit.Name)
		}
		if got := strings.Join(met, " "); got != want {
			t.Errorf("%s meets %q, want %q", desc, got, want)
		}
	}
}
