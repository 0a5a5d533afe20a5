package ads

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// TypeURL is the type of the resources.
const TypeURL = "type.googleapis.com/ratelimit.config.ratelimit.v3.RateLimitConfig"

// kind is what a field holds.
type kind uint8

const (
	text   kind = iota // UTF-8
	flag               // bool
	number             // uint32
	unit               // a value of the enum of units
	single             // a message
	list               // messages
	free               // google.protobuf.Struct
)

// field is a field of a message, by the name that it has in a rule file too.
type field struct {
	name string
	kind kind
	of   *shape // of messages
}

// shape is the fields of a message by their numbers; 0 has none.
type shape [maxNumber + 1]field

// maxNumber is the highest number of a field of any of the messages.
const maxNumber = 8

// The messages, see ratelimit/config/ratelimit/v3/rls_conf.proto of the reference service.
var (
	configShape     = shape{1: {name: "name", kind: text}, 2: {name: "domain", kind: text}, 3: {name: "descriptors", kind: list, of: &descriptorShape}}
	descriptorShape shape
	policyShape     = shape{
		1: {name: "unit", kind: unit}, 2: {name: "requests_per_unit", kind: number}, 3: {name: "unlimited", kind: flag},
		4: {name: "name", kind: text}, 5: {name: "replaces", kind: list, of: &replaceShape},
	}
	replaceShape = shape{1: {name: "name", kind: text}}
)

// Descriptors hold descriptors, which a literal cannot.
func init() {
	descriptorShape = shape{
		1: {name: "key", kind: text}, 2: {name: "value", kind: text}, 3: {name: "rate_limit", kind: single, of: &policyShape},
		4: {name: "descriptors", kind: list, of: &descriptorShape}, 5: {name: "shadow_mode", kind: flag}, 6: {name: "detailed_metric", kind: flag},
		7: {name: "quota_mode", kind: flag}, 8: {name: "metadata", kind: free},
	}
}

// units are the enum's words. 0 is that none is stated.
var units = [...]string{1: "second", 2: "minute", 3: "hour", 4: "day", 5: "month", 6: "year", 7: "week"}

// value is what a message holds of a field: numbers, or bytes, which are nil if the field
// is not there.
type value struct {
	number  uint64
	bytes   []byte
	list    [][]byte
	present bool
}

// values are the fields of a message, and the numbers of those that its shape does not
// have.
type values struct {
	of      [maxNumber + 1]value
	unknown []protowire.Number
}

// maxUnknown bounds the unknown fields of a message that are told.
const maxUnknown = 10

// decode reads a message, but not the messages in it.
func decode(b []byte, s *shape) (values, error) {
	var v values
	for len(b) > 0 {
		n, wire, size := protowire.ConsumeTag(b)
		if size < 0 {
			return v, fmt.Errorf("it is no message: %w", protowire.ParseError(size))
		}
		b = b[size:]
		if size = protowire.ConsumeFieldValue(n, wire, b); size < 0 {
			return v, fmt.Errorf("field %d ends too early: %w", n, protowire.ParseError(size))
		}
		if n > maxNumber || s[n].name == "" {
			if len(v.unknown) < maxUnknown {
				v.unknown = append(v.unknown, n)
			}
		} else if err := v.of[n].take(s[n], wire, b); err != nil {
			return v, err
		}
		b = b[size:]
	}
	return v, nil
}

// take reads the value of a field that b begins with. Of what is there twice the last one
// counts, and messages are joined: their bytes one after the other are both.
func (v *value) take(f field, wire protowire.Type, b []byte) error {
	want := protowire.BytesType
	if f.kind == flag || f.kind == number || f.kind == unit {
		want = protowire.VarintType
	}
	if wire != want {
		return fmt.Errorf("%s has the wire type %d, not %d", f.name, wire, want)
	}
	v.present = true
	if want == protowire.VarintType {
		v.number, _ = protowire.ConsumeVarint(b)
		return nil
	}
	content, _ := protowire.ConsumeBytes(b)
	switch f.kind {
	case list:
		v.list = append(v.list, content)
	case text:
		if v.bytes = content; !utf8.Valid(content) {
			return fmt.Errorf("%s is not UTF-8", f.name)
		}
	default:
		v.bytes = append(v.bytes[:len(v.bytes):len(v.bytes)], content...)
	}
	return nil
}
