package envoy

import (
	"cmp"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/descriptors"
)

// entry is what an action makes of a request.
type entry struct {
	descriptors.Expected
	at     value
	when   string // the condition for it; empty: always. "!" before it: unless
	absent string // what a request without it is, for a message
	never  bool   // no request has it
}

// scene is where a descriptor is made.
type scene struct {
	c        *checker
	chain    *chain
	host     value
	route    value
	supplied map[string]bool // headers that the gateway itself sets before
	config   value           // of the filter
}

// entries are those that the actions of a rate limit make.
func (s *scene) entries(limit value) (all []entry) {
	for _, action := range limit.get("actions").items() {
		for key, v := range action.fields() {
			e := s.action(key.Value, v)
			if !e.at.ok() {
				e.at = action
			}
			all = append(all, e)
		}
	}
	return all
}

func (s *scene) action(kind string, v value) entry {
	switch kind {
	case "source_cluster", "sourceCluster":
		return always("source_cluster")
	case "destination_cluster", "destinationCluster":
		return s.destination()
	case "remote_address", "remoteAddress":
		return always("remote_address")
	case "masked_remote_address", "maskedRemoteAddress":
		return always("masked_remote_address")
	case "request_headers", "requestHeaders":
		name := strings.ToLower(v.get("header_name").text())
		return s.optional(v, s.header(v, name))
	case "query_parameters", "queryParameters":
		name := v.get("query_parameter_name").text()
		return s.optional(v, entry{Expected: key(v, ""), at: v, when: "query " + name, absent: "without the query parameter " + quote(name)})
	case "generic_key", "genericKey":
		return s.formatted(v, entry{Expected: key(v, "generic_key"), at: v.get("descriptor_value")})
	case "header_value_match", "headerValueMatch":
		return s.formatted(v, entry{Expected: key(v, "header_match"), at: v, when: condition("header ", v, v.get("headers")), absent: "with other headers"})
	case "query_parameter_value_match", "queryParameterValueMatch":
		return s.formatted(v, entry{Expected: key(v, "query_match"), at: v, when: condition("query ", v, v.get("query_parameters")), absent: "with another query"})
	case "remote_address_match", "remoteAddressMatch":
		return entry{Expected: key(v, "remote_address_match"), at: v, when: "address " + written(v.get("address_matcher")), absent: "from another address"}
	case "metadata", "dynamic_metadata", "dynamicMetadata":
		return s.metadata(v)
	case "extension":
		return s.extension(v)
	}
	return entry{} // any, so that nothing more is said of it
}

func always(key string) entry { return entry{Expected: descriptors.Expected{Key: key}} }

func key(v value, byDefault string) descriptors.Expected {
	return descriptors.Expected{Key: cmp.Or(v.get("descriptor_key").text(), byDefault)}
}

// optional makes an entry one that is left out where a request lacks it.
func (s *scene) optional(v value, e entry) entry {
	if v.get("skip_if_absent").isTrue() && e.when != "" {
		e.Optional = true
	}
	return e
}

func (s *scene) destination() entry {
	e := always("destination_cluster")
	if name := s.route.get("route", "cluster").text(); name != "" {
		e.Values = []string{name}
	}
	return e
}

// everyRequest are headers that no request lacks.
var everyRequest = []string{":authority", "host", ":path", ":method", ":scheme", "x-forwarded-proto"}

func (s *scene) header(v value, name string) entry {
	e := entry{Expected: key(v, ""), at: v.get("header_name"), when: "header " + name, absent: "without the header " + quote(name)}
	generated := name == "x-request-id" && s.chain.manager.ok() && s.chain.manager.get("generate_request_id").text() != "false"
	for _, known := range everyRequest {
		generated = generated || name == known
	}
	if generated || s.supplied[name] {
		e.when = ""
	}
	return e
}

// condition names what a match action depends on, so that it can be told which two
// exclude each other.
func condition(kind string, v, of value) string {
	unless := ""
	if v.get("expect_match").text() == "false" {
		unless = "!"
	}
	if one := of.items(); len(one) == 1 && one[0].get("present_match").isTrue() {
		name := one[0].get("name").text()
		if kind == "header " {
			name = strings.ToLower(name)
		}
		return unless + kind + name
	}
	return unless + "match " + written(of)
}

// written is v as text, the same for what reads the same.
func written(v value) string {
	if !v.ok() {
		return ""
	}
	text, err := yaml.Dump(v.n, yaml.WithIndent(2))
	if err != nil {
		return ""
	}
	return string(text)
}

var formatting = regexp.MustCompile(`%[A-Z][A-Z0-9_]*(\([^%]*\))?(:[0-9]+)?%`)

// formatted gives an entry the value that the file states.
func (s *scene) formatted(v value, e entry) entry {
	text := v.get("descriptor_value")
	switch {
	case !formatting.MatchString(text.text()):
	case s.c.formats:
		if !v.get("default_value").ok() {
			e.when, e.absent = cmp.Or(e.when, "format "+text.text()), "without a value for "+quote(text.text())
		}
		return e
	default:
		s.c.tell(text, "literal-format", "set "+"envoy.reloadable_features."+formatsFeature+": true in a static layer of layered_runtime, or use an action that reads the value",
			"Envoy sends %s as it stands here: formats in descriptor values are off by default", quote(text.text()))
	}
	e.Values = []string{text.text()}
	return e
}

// numeric are claims of a token that are numbers.
var numeric = map[string]bool{"exp": true, "iat": true, "nbf": true, "auth_time": true, "updated_at": true}

func (s *scene) metadata(v value) entry {
	e := entry{Expected: key(v, ""), at: v}
	namespace, path := v.get("metadata_key", "key").text(), v.get("metadata_key", "path").items()
	name, last := namespace, ""
	for _, p := range path {
		last = p.get("key").text()
		name += "." + last
	}
	_, written := s.c.numbers[namespace+"\x00"+last]
	if written && len(path) == 1 || numeric[last] && namespace == "envoy.filters.http.jwt_authn" {
		s.c.tell(v.get("metadata_key"), "metadata-number", "write it as a STRING, or read it with an expr extension",
			"%s is a number, and this action knows texts alone: Envoy leaves the descriptor out", name)
	}
	def := v.get("default_value").text()
	if v.get("source").text() == "ROUTE_ENTRY" {
		return s.ofRoute(v, e, namespace, path, def)
	}
	if def == "" {
		e.when, e.absent = "metadata "+name, "without the metadata "+quote(name)
	}
	return s.optional(v, e)
}

// ofRoute is an entry of a route's own metadata, which is known.
func (s *scene) ofRoute(v value, e entry, namespace string, path []value, def string) entry {
	if !s.route.ok() {
		return e
	}
	found := s.route.get("metadata", "filter_metadata")
	for key, field := range found.fields() {
		if key.Value == namespace {
			found = field
		}
	}
	for _, p := range path {
		found = field(found, p.get("key").text())
	}
	switch text := cmp.Or(found.text(), def); {
	case text != "":
		e.Values = []string{text}
	case v.get("skip_if_absent").isTrue():
		e.Optional, e.Values = true, []string{""}
	default:
		e.never = true
	}
	return e
}

// field is one whose name is data, and has one form.
func field(v value, name string) value {
	for key, found := range v.fields() {
		if key.Value == name {
			return found
		}
	}
	return value{doc: v.doc}
}

// choice is the end of an expression that yields one of two texts, and what a chain of
// such ones has before it.
var (
	choice = regexp.MustCompile(`\?\s*'([^']*)'\s*:\s*'([^']*)'\s*$`)
	before = regexp.MustCompile(`\?\s*'([^']*)'\s*:\s*[^\s']`)
	quoted = regexp.MustCompile(`'[^']*'`)
)

// choices are the texts that an expression may yield, nil where they are not known.
func choices(text string) (values []string) {
	last := choice.FindStringSubmatchIndex(text)
	if last == nil {
		return nil
	}
	for _, one := range before.FindAllStringSubmatch(text[:last[0]], -1) {
		values = append(values, one[1])
	}
	values = append(values, text[last[2]:last[3]], text[last[4]:last[5]])
	if strings.Count(quoted.ReplaceAllString(text, ""), "?") != len(values)-1 {
		return nil
	}
	return values
}

func (s *scene) extension(v value) entry {
	config, kind := v.get("typed_config").typed()
	switch {
	case strings.HasSuffix(kind, "rate_limit_descriptors.expr.v3.Descriptor"):
		e := entry{Expected: key(config, ""), at: config.get("text")}
		s.c.expression(config.get("text"))
		e.Values = choices(config.get("text").text())
		return e
	case strings.HasSuffix(kind, "HttpRequestHeaderMatchInput"):
		e := s.header(config, strings.ToLower(config.get("header_name").text()))
		e.Key = v.get("name").text()
		return e
	case config.get("descriptor_key").ok():
		return entry{Expected: key(config, ""), at: config, when: "extension " + written(config), absent: "without a value for " + quote(config.get("descriptor_key").text())}
	case strings.HasPrefix(kind, "envoy.extensions.matching."):
		return entry{Expected: descriptors.Expected{Key: v.get("name").text()}}
	}
	return entry{}
}
