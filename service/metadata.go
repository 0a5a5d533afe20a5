package service

import (
	"maps"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-rls/weir/descriptors"
)

// metadata is an entry of Envoy's dynamic metadata.
type metadata struct{ name, value string }

// appendMetadata appends a Struct (google/protobuf/struct.proto) of texts: a map,
// whose entries are messages of a key and a Value. Several of them are one, as protobuf
// joins a message that stands twice.
func appendMetadata(b []byte, entries ...metadata) []byte {
	b, at := beginMessage(b, 6)
	for _, e := range entries {
		var entry, value int
		b, entry, value = beginMember(b, e.name)
		b = appendText(b, 3, e.value)
		b = endMessage(endMessage(b, value), entry)
	}
	return endMessage(b, at)
}

// beginMember begins a member of a Struct with its Value.
func beginMember(b []byte, name string) (_ []byte, entry, value int) {
	b, entry = beginMessage(b, 1)
	b, value = beginMessage(appendText(b, 1, name), 2)
	return b, entry, value
}

// appendStated appends the metadata of the rules that let their descriptors pass, as
// metadata of the answer: of what two of them state the first one counts, and maps are
// joined.
func (v *verdict) appendStated(b []byte) []byte {
	var first *descriptors.Metadata
	var all map[string]any
	for i := range v.met {
		m := &v.met[i]
		stated := m.Limit.Metadata
		switch {
		case stated == nil || stated == first || v.statuses[m.Descriptor].over:
			continue
		case first == nil:
			first = stated
			continue
		case all == nil:
			all = first.Map()
		}
		stated.AddTo(all)
	}
	switch {
	case all != nil:
		return append(b, statedWire(all)...)
	case first != nil:
		return append(b, first.Wire(statedWire)...)
	}
	return b
}

// statedWire is the answer's dynamic metadata that a map stands in.
func statedWire(fields map[string]any) []byte {
	b, at := beginMessage(nil, 6)
	b, entry, value := beginMember(b, "metadata")
	b = appendValue(b, fields)
	return endMessage(endMessage(endMessage(b, value), entry), at)
}

// appendValue appends the field of a google.protobuf.Value. It is stated whatever it is: one
// that is left out, as other fields are that are 0, makes a Value of no kind.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case float64:
		return protowire.AppendFixed64(protowire.AppendTag(b, 2, protowire.Fixed64Type), math.Float64bits(v))
	case string:
		return protowire.AppendString(protowire.AppendTag(b, 3, protowire.BytesType), strings.ToValidUTF8(v, "\uFFFD"))
	case bool:
		return protowire.AppendVarint(protowire.AppendTag(b, 4, protowire.VarintType), protowire.EncodeBool(v))
	case map[string]any:
		b, at := beginMessage(b, 5)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			var entry, value int
			b, entry, value = beginMember(b, name)
			b = endMessage(endMessage(appendValue(b, v[name]), value), entry)
		}
		return endMessage(b, at)
	case []any:
		b, at := beginMessage(b, 6)
		for _, item := range v {
			var one int
			b, one = beginMessage(b, 1)
			b = endMessage(appendValue(b, item), one)
		}
		return endMessage(b, at)
	}
	return protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), 0)
}
