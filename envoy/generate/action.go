package generate

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	typePrefix = "type.googleapis.com/"
	exprType   = typePrefix + "envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor"
	sourceIP   = typePrefix + "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput"
)

// actions are those that make an entry of the source, of which each request has
// exactly one.
func (s *source) actions() []*yaml.Node {
	switch s.kind {
	case "header":
		has := "'" + s.name + "' in request.headers"
		if s.only {
			has += " && request.headers['" + s.name + "'] in ['" + strings.Join(s.values, "', '") + "']"
			return []*yaml.Node{s.expression(has+" ? request.headers['"+s.name+"'] : '"+s.fallback+"'", "any other value is "+quote(s.fallback)+", so that none is a way around a limit")}
		}
		return []*yaml.Node{s.expression(has+" ? request.headers['"+s.name+"'] : '"+s.fallback+"'", s.without("the header"))}
	case "path":
		return []*yaml.Node{s.ofPath()}
	case "query":
		named := func() *yaml.Node {
			return list(inline(object("name", s.name, "present_match", true)))
		}
		return []*yaml.Node{
			inline(object("query_parameters", object("query_parameter_name", s.name, "descriptor_key", s.key))),
			headed(inline(object("query_parameter_value_match", object("descriptor_key", s.key, "descriptor_value", s.fallback, "expect_match", false, "query_parameters", named()))), s.without("the parameter")),
		}
	case "cookie":
		return []*yaml.Node{s.ofCookie()}
	case "address":
		return []*yaml.Node{s.ofAddress()}
	case "metadata", "claim":
		return []*yaml.Node{headed(inline(object("metadata", object("descriptor_key", s.key, "metadata_key", s.metadataKey(), "default_value", s.fallback))), s.without("it"))}
	}
	return nil
}

// without says what becomes of requests that have no value.
func (s *source) without(what string) string {
	return "without " + what + " all share the bucket of " + quote(s.fallback) + ": leaving it out is no way around a limit"
}

// optional is an action for an entry that is left out where a request has no value.
func (s *source) optional() *yaml.Node {
	if !s.lacking() {
		return s.actions()[0]
	}
	switch s.kind {
	case "header":
		return inline(object("request_headers", object("header_name", s.name, "descriptor_key", s.key, "skip_if_absent", true)))
	case "query":
		return inline(object("query_parameters", object("query_parameter_name", s.name, "descriptor_key", s.key, "skip_if_absent", true)))
	}
	return inline(object("metadata", object("descriptor_key", s.key, "metadata_key", s.metadataKey(), "skip_if_absent", true)))
}

func (s *source) metadataKey() *yaml.Node {
	path := list()
	for _, name := range s.path[1:] {
		path.Content = append(path.Content, object("key", name))
	}
	return object("key", s.path[0], "path", path)
}

// constant is an action for an entry that every request has.
func constant(key, value string) *yaml.Node {
	return inline(object("generic_key", object("descriptor_key", key, "descriptor_value", value)))
}

func (s *source) expression(text, why string) *yaml.Node {
	return headed(object("extension", object("name", "envoy.rate_limit_descriptors.expr", "typed_config",
		object("@type", exprType, "descriptor_key", s.key, "text", text))), why)
}

// ofPath makes an entry of a part of the path, or of where it begins. Envoy refuses
// paths that are no text, so that expressions cannot fail.
func (s *source) ofPath() *yaml.Node {
	if s.prefixes == nil {
		if s.name == "/**" {
			return s.expression("request.url_path", "the path without its query")
		}
		var pattern string
		if head, all := strings.CutSuffix(s.name, "**"); all {
			pattern = "^" + escaped(head) + "(.+)$"
		} else {
			before, after, _ := strings.Cut(s.name, "*")
			pattern = "^" + escaped(before) + "([^/]+)" + escaped(after) + "(/.*)?$"
		}
		return s.expression("request.url_path.matches('"+pattern+"') ? re.extract(request.url_path, '"+pattern+`', '\\1') : '`+s.fallback+"'", s.without("such a path"))
	}
	type entry struct{ prefix, value string }
	var all []entry
	for i, prefixes := range s.prefixes {
		for _, p := range prefixes {
			all = append(all, entry{strings.TrimSuffix(p, "/"), s.values[i]})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	var text strings.Builder
	last := s.fallback
	for _, e := range all {
		if e.prefix == "" {
			last = e.value
			continue
		}
		text.WriteString("(request.url_path == '" + e.prefix + "' || request.url_path.startsWith('" + e.prefix + "/')) ? '" + e.value + "' : ")
	}
	return s.expression(text.String()+"'"+last+"'", "where the path begins; the longest one counts, and any other is "+quote(last))
}

// ofCookie makes an entry of a cookie, for which Envoy has no action. What is looked for
// is what is taken out, so that the expression cannot fail: that would leave the
// descriptor out.
func (s *source) ofCookie() *yaml.Node {
	pattern := "(^|[;,] *)" + escaped(s.name) + "=([^;,]+)"
	const header = "request.headers['cookie']"
	return s.expression("'cookie' in request.headers && "+header+".matches('"+pattern+"') ? re.extract("+header+", '"+pattern+`', '\\2') : '`+s.fallback+"'", s.without("the cookie"))
}

// escaped is a text as a regular expression in an expression has it.
func escaped(text string) string { return strings.ReplaceAll(regexp.QuoteMeta(text), `\`, `\\`) }

func (s *source) ofAddress() *yaml.Node {
	switch {
	case s.masks[0] != "":
		return inline(object("masked_remote_address", object("v4_prefix_mask_len", literal(s.masks[0]), "v6_prefix_mask_len", literal(s.masks[1]))))
	case s.key == "remote_address":
		return inline(object("remote_address", object()))
	}
	return inline(object("extension", object("name", s.key, "typed_config", object("@type", sourceIP))))
}
