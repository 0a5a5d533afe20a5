package generate

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// sources are where the value of a key may come from.
var sources = []string{"header", "claim", "path", "query", "cookie", "address", "metadata", "value"}

// absent is the value of who has none, so that all of them share a bucket and nobody
// passes unlimited.
const absent = "none"

// source is where the value of a key comes from.
type source struct {
	key      string
	at       *yaml.Node
	kind     string   // one of sources
	name     string   // of a header, parameter or cookie; a path with a *
	path     []string // of metadata: namespace and keys
	values   []string // all that there can be; nil: any
	prefixes [][]string
	masks    [2]string // of IPv4 and IPv6; empty: the whole address
	fallback string    // the value where there is none
	only     bool      // of a header: what is not in values counts as none
}

var (
	headerName = regexp.MustCompile(`^:?[A-Za-z0-9!#$&*+.^_|~-]+$`)
	pathText   = regexp.MustCompile(`^/[A-Za-z0-9._~!$&()+,;=:@%/*-]*$`)
)

// source reads what feeds a key.
func (m *mapping) source(f field) *source {
	s := &source{key: f.name.Value, at: f.name, fallback: absent}
	what := "the key " + quote(s.key)
	fields := m.fields(f.value, what, append(slices.Clone(sources), "default", "only", "payload")...)
	var from field
	for _, kind := range sources {
		if one, ok := fields[kind]; ok {
			if s.kind != "" {
				m.fail(one.name, "keep one of them", "%s comes from %s and from %s", what, s.kind, kind)
				return nil
			}
			s.kind, from = kind, one
		}
	}
	if s.kind == "" {
		if len(fields) > 0 || f.value.Kind == yaml.MappingNode && len(f.value.Content) == 0 {
			m.fail(f.name, "write one of "+strings.Join(sources, ", "), "%s comes from nowhere", what)
		}
		return nil
	}
	if one, ok := fields["default"]; ok {
		text, ok := m.text(one)
		if !ok || !m.plain(one, []string{text}) {
			return nil
		}
		if s.fallback = text; s.kind == "value" || s.kind == "address" {
			m.fail(one.name, "remove it", "%s is never absent", what)
		}
	}
	payload := "payload"
	if one, ok := fields["payload"]; ok {
		if payload, ok = m.text(one); !ok {
			return nil
		}
		if s.kind != "claim" {
			m.fail(one.name, "remove it", "payload belongs to a claim")
		}
	}
	if !m.read(s, from, payload) {
		return nil
	}
	if one, ok := fields["only"]; ok && s.kind != "header" {
		m.fail(one.name, "remove it", "only belongs to a header")
	} else if ok {
		values, sound := m.texts(one)
		if !sound || !m.plain(one, values) {
			return nil
		}
		s.values, s.only = values, true
	}
	return s
}

// read reads what stands beside the kind of a source.
func (m *mapping) read(s *source, f field, payload string) bool {
	if s.kind == "path" {
		return m.readPath(s, f)
	}
	values, ok := m.texts(f)
	if !ok {
		return false
	}
	single := s.kind != "value" && s.kind != "metadata" && s.kind != "claim" && s.kind != "address"
	if single && len(values) > 1 {
		m.fail(f.value, "write one", "%s is a single text", f.name.Value)
		return false
	}
	s.name = values[0]
	switch s.kind {
	case "header", "cookie", "query":
		if s.kind == "header" {
			s.name = strings.ToLower(s.name)
		}
		if !headerName.MatchString(s.name) {
			m.fail(f.value, "write its name alone", "%s cannot be called %s", s.kind, quote(s.name))
			return false
		}
	case "value":
		s.values = values
	case "metadata":
		if s.path = values; len(values) < 2 {
			m.fail(f.value, "write metadata: [NAMESPACE, KEY]", "metadata is a namespace and a key")
			return false
		}
	case "claim":
		if len(values) == 1 {
			values = strings.Split(values[0], ".")
		}
		s.path = append([]string{"envoy.filters.http.jwt_authn", payload}, values...)
	case "address":
		return m.readAddress(s, f, values)
	}
	return true
}

// readAddress reads client, or the masks of a network.
func (m *mapping) readAddress(s *source, f field, values []string) bool {
	if len(values) == 1 && values[0] == "client" {
		return true
	}
	for i, most := range []int{32, 128} {
		text := []string{"", "/64"}[i]
		if i < len(values) {
			text = values[i]
		}
		n, err := strconv.Atoi(strings.TrimPrefix(text, "/"))
		if err != nil || !strings.HasPrefix(text, "/") || n < 0 || n > most || len(values) > 2 {
			m.fail(f.value, "write address: client, address: /24, or [/24, /64] with the mask of IPv6", "an address cannot be %s", quote(strings.Join(values, ", ")))
			return false
		}
		s.masks[i] = strconv.Itoa(netip.PrefixFrom(netip.IPv6Unspecified(), n).Bits())
	}
	if s.key != "masked_remote_address" {
		m.fail(f.name, "call the key masked_remote_address, in the rules too", "Envoy has no other name for a masked address than masked_remote_address, not %s", quote(s.key))
		return false
	}
	return true
}

// readPath reads a path with a * where the value stands, or the values with the paths
// that they stand for.
func (m *mapping) readPath(s *source, f field) bool {
	if f.value.Kind != yaml.MappingNode {
		text, ok := m.text(f)
		if !ok {
			return false
		}
		s.name = text
		stars := strings.Count(strings.ReplaceAll(text, "**", "*"), "*")
		rest := strings.TrimSuffix(text, "**")
		if !pathText.MatchString(text) || stars != 1 || strings.Contains(rest, "**") || rest == text && !slices.Contains(strings.Split(text, "/"), "*") {
			m.fail(f.value, "write path: /api/* with a * for one part, path: /** for all of it, or path: {VALUE: /PREFIX}", "a path cannot be %s", quote(text))
			return false
		}
		return true
	}
	for _, one := range m.entries(f.value, "path", "path: {a: /api/a}") {
		prefixes, ok := m.texts(field{one.name, one.value})
		if !ok || !m.plain(one, []string{one.name.Value}) {
			return false
		}
		for _, p := range prefixes {
			if !pathText.MatchString(p) || strings.ContainsAny(p, "*'") {
				m.fail(one.value, "write where paths begin, as in /api/a", "a path cannot begin with %s", quote(p))
				return false
			}
		}
		s.values, s.prefixes = append(s.values, one.name.Value), append(s.prefixes, prefixes)
	}
	if len(s.values) == 0 {
		m.fail(f.value, "write path: {VALUE: /PREFIX}", "path is empty")
		return false
	}
	return true
}

// known are the values that the source can have; nil: any.
func (s *source) known() []string {
	switch {
	case s.kind == "value":
		return s.values
	case (s.prefixes != nil || s.only) && !slices.Contains(s.values, s.fallback) && !s.everywhere():
		return append(slices.Clone(s.values), s.fallback)
	}
	return s.values
}

// everywhere tells of a table with a value for each path.
func (s *source) everywhere() bool {
	return slices.ContainsFunc(s.prefixes, func(all []string) bool { return slices.Contains(all, "/") })
}

// lacking tells whether an entry of the source can be left out where there is no value.
func (s *source) lacking() bool {
	return s.kind == "header" && !s.only || s.kind == "query" || s.kind == "metadata" || s.kind == "claim"
}
