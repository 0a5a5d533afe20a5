package service

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-rls/weir/descriptors"
)

// message reads the wire form of a protocol buffers message. It is the message's
// bytes and the same bytes as text, of which keys and values are cut without a copy
// each.
type message struct {
	bytes []byte
	text  string
}

// field is a field's number and wire type; one of another wire type than weir
// expects is another field, and unknown.
type field struct {
	number protowire.Number
	kind   protowire.Type
}

func bytesField(n protowire.Number) field  { return field{n, protowire.BytesType} }
func varintField(n protowire.Number) field { return field{n, protowire.VarintType} }

// next cuts off the first field: what it holds, or its number.
func (m *message) next() (f field, holds message, number uint64, err error) {
	id, kind, n := protowire.ConsumeTag(m.bytes)
	if n < 0 {
		return f, holds, 0, fmt.Errorf("read a field's tag: %w", protowire.ParseError(n))
	}
	m.skip(n)
	switch kind {
	case protowire.BytesType:
		var content []byte
		if content, n = protowire.ConsumeBytes(m.bytes); n >= 0 {
			holds = message{content, m.text[n-len(content) : n]}
		}
	case protowire.VarintType:
		number, n = protowire.ConsumeVarint(m.bytes)
	default:
		n = protowire.ConsumeFieldValue(id, kind, m.bytes)
	}
	if n < 0 {
		return f, holds, 0, fmt.Errorf("read field %d: %w", id, protowire.ParseError(n))
	}
	m.skip(n)
	return field{id, kind}, holds, number, nil
}

func (m *message) skip(n int) { m.bytes, m.text = m.bytes[n:], m.text[n:] }

// decodeRequest reads the wire form of a RateLimitRequest (field numbers of
// envoy/service/ratelimit/v3/rls.proto and
// envoy/extensions/common/ratelimit/v3/ratelimit.proto) into r, whose memory it
// uses again. It accepts every message: what makes no sense is left to the rules to
// judge.
//
// Protocol buffers forbid text that is no UTF-8, and Go's decoder refuses the whole
// message, but Envoy passes a header's bytes on as they are: with `x-user: \xff`
// every call would fail, and Envoy admits what its limiter fails to judge. One byte
// would be a way past all limits. So each text is taken as the bytes it is.
//
// beyond is a bound that the message is beyond. Of more descriptors or entries than
// are judged the rest is read and not kept, but for one descriptor that tells of it: a
// message of 16 MiB has room for eight million empty ones.
func decodeRequest(wire []byte, r *descriptors.Request, b *Bounds) (beyond Bound, err error) {
	r.Domain, r.Hits, r.Descriptors = "", 0, r.Descriptors[:0]
	var rest descriptors.Descriptor
	if len(wire) > b.MessageBytes {
		beyond = MessageBound
	}
	for m := (message{wire, string(wire)}); len(m.bytes) > 0; {
		f, holds, number, err := m.next()
		if err != nil {
			return beyond, err
		}
		switch f {
		case bytesField(1):
			r.Domain = holds.text
		case bytesField(2):
			d := &rest
			if d.Entries = d.Entries[:0]; len(r.Descriptors) <= b.Descriptors {
				r.Descriptors = again(r.Descriptors)
				d = &r.Descriptors[len(r.Descriptors)-1]
			}
			if err := decodeDescriptor(holds, d, b, &beyond); err != nil {
				return beyond, err
			}
		case varintField(3):
			r.Hits = uint64(uint32(number))
		}
	}
	if len(r.Descriptors) > b.Descriptors {
		beyond = DescriptorsBound
	}
	return beyond, nil
}

// again is all with one more, whose entries' memory is used again.
func again(all []descriptors.Descriptor) []descriptors.Descriptor {
	if len(all) == cap(all) {
		return append(all, descriptors.Descriptor{})
	}
	all = all[:len(all)+1]
	last := &all[len(all)-1]
	*last = descriptors.Descriptor{Entries: last.Entries[:0]}
	return all
}

func decodeDescriptor(m message, d *descriptors.Descriptor, b *Bounds, beyond *Bound) error {
	for len(m.bytes) > 0 {
		f, holds, number, err := m.next()
		if err != nil {
			return err
		}
		switch f {
		case bytesField(1):
			var e descriptors.Entry
			err = decodeEntry(holds, &e)
			if bound := b.ofEntry(&e, len(d.Entries)); bound != within {
				*beyond = bound
			}
			if len(d.Entries) < b.Entries {
				d.Entries = append(d.Entries, e)
			}
		case bytesField(2):
			if d.Override == nil {
				d.Override = &descriptors.Override{}
			}
			err = decodeOverride(holds, d.Override)
		case bytesField(3):
			d.HasHits = true
			err = decodeWrapped(holds, &d.Hits)
		case varintField(4):
			d.Negative = protowire.DecodeBool(number)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func decodeEntry(m message, e *descriptors.Entry) error {
	for len(m.bytes) > 0 {
		f, holds, _, err := m.next()
		if err != nil {
			return err
		}
		switch f {
		case bytesField(1):
			e.Key = holds.text
		case bytesField(2):
			e.Value = holds.text
		}
	}
	return nil
}

func decodeOverride(m message, o *descriptors.Override) error {
	for len(m.bytes) > 0 {
		f, holds, number, err := m.next()
		if err != nil {
			return err
		}
		switch f {
		case varintField(1):
			o.Requests = uint32(number)
		case varintField(2):
			o.Unit = unitFromEnvoy(int32(number))
		case bytesField(3):
			multiplier := uint64(o.Multiplier)
			err = decodeWrapped(holds, &multiplier)
			o.Multiplier = uint32(multiplier)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decodeWrapped reads the number of a UInt32Value or UInt64Value.
func decodeWrapped(m message, into *uint64) error {
	for len(m.bytes) > 0 {
		f, _, number, err := m.next()
		if err != nil {
			return err
		}
		if f == varintField(1) {
			*into = number
		}
	}
	return nil
}

// unitFromEnvoy is a unit by its number in envoy/type/v3/ratelimit_unit.proto.
func unitFromEnvoy(number int32) descriptors.Unit {
	units := [...]descriptors.Unit{
		1: descriptors.Second, 2: descriptors.Minute, 3: descriptors.Hour, 4: descriptors.Day, 5: descriptors.Month, 6: descriptors.Year,
	}
	if number < 0 || int(number) >= len(units) {
		return descriptors.UnknownUnit
	}
	return units[number]
}
