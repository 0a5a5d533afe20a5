package envoy

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ratelimit/v3"
	networkv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/ratelimit/v3"
	"go.yaml.in/yaml/v4"
)

// messages are the types whose fields are known here.
var messages = map[string]protoreflect.MessageDescriptor{
	httpFilter:                        (&httpv3.RateLimit{}).ProtoReflect().Descriptor(),
	perRoute:                          (&httpv3.RateLimitPerRoute{}).ProtoReflect().Descriptor(),
	networkFilter:                     (&networkv3.RateLimit{}).ProtoReflect().Descriptor(),
	"envoy.config.route.v3.RateLimit": (&routev3.RateLimit{}).ProtoReflect().Descriptor(),
}

// fields tells the fields and words in v that Envoy's API of a type does not have.
func (c *checker) fields(v value, kind string) {
	s := schema{c, map[*yaml.Node]bool{}}
	s.message(v, messages[kind])
}

// schema compares a configuration with Envoy's API, each place once: it may hold itself.
type schema struct {
	*checker
	seen map[*yaml.Node]bool
}

func (c *schema) message(v value, d protoreflect.MessageDescriptor) {
	if !v.ok() || c.seen[v.n] || v.n.Kind != yaml.MappingNode || strings.HasPrefix(string(d.FullName()), "google.protobuf.") {
		return
	}
	c.seen[v.n] = true
	for key, field := range v.fields() {
		known := d.Fields().ByName(protoreflect.Name(key.Value))
		if known == nil {
			known = d.Fields().ByJSONName(key.Value)
		}
		switch {
		case key.Value == "@type":
		case known == nil:
			c.tell(value{v.doc, key}, "unknown-field", nearest(key.Value, d), "%s has no field %s", d.Name(), quote(key.Value))
		case known.Name() == "rate_limits" && d.FullName() != "envoy.config.route.v3.RateLimit": // each is looked at by itself
		case known.IsList():
			for _, item := range field.items() {
				c.one(item, known)
			}
		case !known.IsMap():
			c.one(field, known)
		}
	}
}

// one judges a value of a field.
func (c *schema) one(v value, known protoreflect.FieldDescriptor) {
	switch known.Kind() {
	case protoreflect.MessageKind:
		c.message(v, known.Message())
	case protoreflect.EnumKind:
		text := v.text()
		_, err := strconv.Atoi(text)
		off := strings.EqualFold(text, "off") && v.n.Style == 0
		if text != "" && err != nil && !off && known.Enum().Values().ByName(protoreflect.Name(text)) == nil {
			c.tell(v, "unknown-value", "write one of "+words(known.Enum()), "%s cannot be %s", known.Name(), quote(text))
		}
	}
}

func words(d protoreflect.EnumDescriptor) string {
	var all []string
	for i := range d.Values().Len() {
		all = append(all, string(d.Values().Get(i).Name()))
	}
	return strings.Join(all, ", ")
}

// nearest names the field that may be meant: one that is the same but for a few
// letters, else all of them.
func nearest(name string, d protoreflect.MessageDescriptor) string {
	var all []string
	for i := range d.Fields().Len() {
		known := string(d.Fields().Get(i).Name())
		if alike(known, name) {
			return "did you mean " + known + "?"
		}
		all = append(all, known)
	}
	return "known here: " + strings.Join(all, ", ")
}

// alike tells that two names share all but their ends or a letter.
func alike(a, b string) bool {
	a, b = strings.ToLower(strings.ReplaceAll(a, "_", "")), strings.ToLower(strings.ReplaceAll(b, "_", ""))
	head, tail := 0, 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return max(len(a), len(b))-head-tail <= 2
}
