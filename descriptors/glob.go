package descriptors

import "strings"

// glob is a pattern, cut at its stars, each of which stands for any characters
// or none.
type glob struct {
	prefix, suffix string
	between        []string
	starless       bool // only prefix is met
}

func newGlob(pattern string) glob {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return glob{prefix: pattern, starless: true}
	}
	g := glob{prefix: parts[0], suffix: parts[len(parts)-1]}
	for _, part := range parts[1 : len(parts)-1] {
		if part != "" {
			g.between = append(g.between, part)
		}
	}
	return g
}

// matches takes each part where it first occurs; a later place would only leave
// less for the parts that follow.
func (g glob) matches(s string) bool {
	if g.starless {
		return s == g.prefix
	}
	if len(s) < len(g.prefix)+len(g.suffix) || !strings.HasPrefix(s, g.prefix) || !strings.HasSuffix(s, g.suffix) {
		return false
	}
	s = s[len(g.prefix) : len(s)-len(g.suffix)]
	for _, part := range g.between {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}
