package migrate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-rls/weir/ratelimit/settings"
)

// Serve is how weir serve is told what an environment said.
type Serve struct {
	Flags   []string // --name or --name value
	Without []Note   // in order of names
	// Options are those of the rules that the environment asks for.
	Options Options
	Tree    Tree
	OverADS bool // rules come from a control plane
}

// Note is a variable that no flag says as it was, and why.
type Note struct{ Variable, Why string }

// counterpart is what says some variables of the reference.
type counterpart struct {
	flags func(s *settings.Settings) []string // nil: nothing does
	why   string                              // told of a variable that is set if there are no flags; empty: what it says is so anyway
	more  string                              // told of it if there are
}

// counterparts are what the rooms of flags below say, by variable.
var counterparts = func() map[string]*counterpart {
	all := map[string]*counterpart{}
	for _, g := range groups {
		for _, name := range strings.Fields(g.variables) {
			all[name] = &g.counterpart
		}
	}
	return all
}()

// group is variables that are said together.
type group struct {
	variables string
	counterpart
}

// groups are in the order of the flags they make.
var groups = slices.Concat(ruleGroups, serverGroups, redisGroups, otherGroups)

// ToServe says an environment as flags of weir serve, whose rules will be in a directory.
func ToServe(e Environment, rules string) (Serve, error) {
	environ := maps.Clone(e.Values)
	if slices.Contains(e.Elsewhere, "REDIS_AUTH") {
		environ["REDIS_AUTH"] = "somewhere" // that there is one is all that is told of it
	}
	memcached := environ["BACKEND_TYPE"] == "memcache"
	if memcached {
		delete(environ, "BACKEND_TYPE") // which settings refuse
	}
	s, _, err := settings.Read(Environment{Values: environ}.Environ())
	if err != nil {
		return Serve{}, err
	}
	if memcached {
		s.Limits.Backend = "memcache"
	}
	made := Serve{
		Options: Options{MergeDomains: s.Rules.MergeDomains, Shadow: s.Limits.Shadow, Quota: s.Limits.Quota},
		Tree:    Tree{s.Rules.Subdirectory, s.Rules.AppDirectory},
		OverADS: s.Rules.Type == settings.FromXDS,
	}
	if !made.OverADS {
		made.Flags = append(made.Flags, flag("rules", rules))
	}
	said := map[*counterpart]bool{}
	for i := range groups {
		c := counterparts[strings.Fields(groups[i].variables)[0]]
		if c.flags != nil {
			flags := c.flags(&s)
			made.Flags, said[c] = append(made.Flags, flags...), len(flags) > 0
		}
	}
	made.Without = without(e, said)
	return made, nil
}

// without tells what no flag says.
func without(e Environment, said map[*counterpart]bool) (notes []Note) {
	for name, value := range e.Values {
		c, known := counterparts[name]
		switch {
		case !known || idle(value):
		case said[c] && c.more != "":
			notes = append(notes, Note{name, c.more})
		case !said[c] && c.why != "":
			notes = append(notes, Note{name, c.why})
		}
	}
	for _, name := range e.Elsewhere {
		why := "its value is not in the file: give it as a line NAME=value"
		switch c, known := counterparts[name]; {
		case name == "envFrom":
			why = "more variables come from what it names: add them as env, or give lines NAME=value"
		case !known:
			continue
		case c.why != "":
			why = cmp.Or(c.more, c.why)
		}
		notes = append(notes, Note{name, why})
	}
	slices.SortStableFunc(notes, func(a, b Note) int { return cmp.Compare(a.Variable, b.Variable) })
	return slices.Compact(notes)
}

// idle tells that a variable is set to nothing, or to off.
func idle(value string) bool {
	on, err := strconv.ParseBool(value)
	return value == "" || err == nil && !on
}

// flag is a flag and its value as a shell takes them.
func flag(name string, value any) string {
	text := fmt.Sprint(value)
	plain := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("-_./:,=@%+", r)
	}
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		text = "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return "--" + name + " " + text
}

// unless is a flag, or nothing where it says what is so anyway.
func unless(is bool, name string, value any) []string {
	if is {
		return nil
	}
	return []string{flag(name, value)}
}

// given is a flag, or nothing where there is no value.
func given(name, value string) []string { return unless(value == "", name, value) }

// on is a switch.
func on(is bool, name string) []string {
	if !is {
		return nil
	}
	return []string{name}
}
