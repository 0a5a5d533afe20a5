package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-rls/weir/descriptors"
)

// The reference holds a rule against an entry's key and value as one text, joined by "_",
// where weir holds each against its own. Which other entries met a rule is known for those
// whose keys the domain's rules state.

// keysOf are the keys that rules state as they are, in order.
func keysOf(rules []rule) []string {
	found := map[string]struct{}{}
	var find func(rules []rule)
	find = func(rules []rule) {
		for _, r := range rules {
			if key := text(r.Node, "key"); !strings.Contains(key, "*") {
				found[key] = struct{}{}
			}
			find(r.below())
		}
	}
	find(rules)
	return slices.Sorted(maps.Keys(found))
}

// apart tells of a rule that meets less than it did, beside keys.
func (m *migration) apart(r rule, keys []string) {
	key, value := text(r.Node, "key"), text(r.Node, "value")
	if strings.Contains(key, "*") {
		if before, after, _ := strings.Cut(key, "*"); value != "" || after != "" || strings.Contains(before, "_") {
			m.differs(r, fmt.Sprintf("the pattern %q was held against key and value joined by \"_\", and is held against each of them here", r.joined()))
		}
		return
	}
	var others []string
	for _, other := range beginnings(r.joined(), keys) {
		if other != key {
			others = append(others, fmt.Sprintf("%q", other))
		}
	}
	if more := len(others) - 3; more > 0 {
		others = append(others[:3], fmt.Sprintf("%d more", more))
	}
	if len(others) > 0 {
		m.differs(r, fmt.Sprintf("key and value were joined by \"_\", so that entries of %s met this rule too: they no longer do", strings.Join(others, ", ")))
	}
}

// beginnings are the keys that some text which meets a pattern begins with, before "_".
func beginnings(pattern string, keys []string) (found []string) {
	literal, _, star := strings.Cut(pattern, "*")
	for i := range len(literal) {
		if literal[i] != '_' {
			continue
		}
		if _, known := slices.BinarySearch(keys, literal[:i]); known {
			found = append(found, literal[:i])
		}
	}
	if !star {
		return found
	}
	i, _ := slices.BinarySearch(keys, literal)
	for ; i < len(keys) && strings.HasPrefix(keys[i], literal); i++ {
		found = append(found, keys[i])
	}
	return found
}

func (m *migration) differs(r rule, message string) {
	comment(r.Node, "# note: "+message)
	stated := r.Node
	for _, name := range []string{"key", "value"} {
		if at := field(r.Node, name); at != nil {
			stated = at
		}
	}
	m.tell(rule{stated, r.doc}, descriptors.Note, message, "state another rule if what it met is to go on being limited")
}
