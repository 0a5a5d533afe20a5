package migrate

import (
	"fmt"
	"strings"

	"github.com/weir-rls/weir/descriptors"
)

// apart tells of the rules of one level that meet less than they did: the reference holds
// a rule against an entry's key and value as one text, joined by "_", where weir holds
// each against its own.
func (m *migration) apart(rules []rule) {
	var keys []string
	for _, r := range rules {
		if key := text(r.Node, "key"); !strings.Contains(key, "*") {
			keys = append(keys, key)
		}
	}
	for _, r := range rules {
		key, value := text(r.Node, "key"), text(r.Node, "value")
		if strings.Contains(key, "*") {
			if before, _, _ := strings.Cut(key, "*"); value != "" || strings.Contains(before, "_") || strings.Index(key, "*") < len(key)-1 {
				m.differs(r, fmt.Sprintf("the pattern %q was held against key and value joined by \"_\", and is held against each of them here", r.joined()))
			}
			continue
		}
		told := map[string]bool{key: true}
		for _, other := range keys {
			if !told[other] && begins(r.joined(), other+"_") {
				told[other] = true
				m.differs(r, fmt.Sprintf("key and value were joined by \"_\", so that this rule was met by entries of the key %q too: it no longer is", other))
			}
		}
	}
}

func (m *migration) differs(r rule, message string) {
	comment(r.Node, "# note: "+message)
	at := r
	for _, name := range []string{"key", "value"} {
		if stated := field(r.Node, name); stated != nil {
			at.Node = stated
		}
	}
	m.tell(at, descriptors.Note, message, "state another rule if what it met is to go on being limited")
}

// begins tells whether some text that begins with start meets a pattern.
func begins(pattern, start string) bool {
	for i := range len(start) {
		switch {
		case i == len(pattern):
			return false
		case pattern[i] == '*':
			return true
		case pattern[i] != start[i]:
			return false
		}
	}
	return true
}
