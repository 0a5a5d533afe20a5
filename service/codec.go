package service

import (
	"fmt"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// codec also accepts requests whose text is not valid UTF-8.
//
// Protocol buffers forbid such text and Go refuses the whole message, but Envoy
// passes a header's bytes on as they are: with `x-user: \xff` every call fails,
// and Envoy admits what its limiter fails to judge. One byte would be a way past
// all limits. So a message that the strict decoder refuses is read again with
// each text taken as the bytes it is.
type codec struct {
	encoding.CodecV2
	recovery // gRPC decodes a message before it calls the interceptors
}

// Unmarshal implements [encoding.CodecV2].
func (c codec) Unmarshal(data mem.BufferSlice, v any) (err error) {
	defer c.catch("decode", &err)
	err = c.CodecV2.Unmarshal(data, v)
	request, ok := v.(*rls.RateLimitRequest)
	if err == nil || !ok {
		return err
	}
	if decodeRequest(data.Materialize(), request) != nil {
		return err
	}
	return nil
}

// decodeRequest reads the wire form of a RateLimitRequest (field numbers of
// envoy/service/ratelimit/v3/rls.proto and
// envoy/extensions/common/ratelimit/v3/ratelimit.proto).
func decodeRequest(wire []byte, r *rls.RateLimitRequest) error {
	r.Reset()
	return eachField(wire, func(f field, value []byte, varint uint64) error {
		switch f {
		case bytesField(1):
			r.Domain = string(value)
		case bytesField(2):
			d := &ratelimit.RateLimitDescriptor{}
			r.Descriptors = append(r.Descriptors, d)
			return decodeDescriptor(value, d)
		case varintField(3):
			r.HitsAddend = uint32(varint)
		}
		return nil
	})
}

func decodeDescriptor(wire []byte, d *ratelimit.RateLimitDescriptor) error {
	return eachField(wire, func(f field, value []byte, varint uint64) error {
		switch f {
		case bytesField(1):
			e := &ratelimit.RateLimitDescriptor_Entry{}
			d.Entries = append(d.Entries, e)
			return decodeEntry(value, e)
		case bytesField(2):
			if d.Limit == nil {
				d.Limit = &ratelimit.RateLimitDescriptor_RateLimitOverride{}
			}
			return proto.UnmarshalOptions{Merge: true}.Unmarshal(value, d.Limit)
		case bytesField(3):
			if d.HitsAddend == nil {
				d.HitsAddend = &wrapperspb.UInt64Value{}
			}
			return proto.UnmarshalOptions{Merge: true}.Unmarshal(value, d.HitsAddend)
		case varintField(4):
			d.IsNegativeHits = protowire.DecodeBool(varint)
		}
		return nil
	})
}

func decodeEntry(wire []byte, e *ratelimit.RateLimitDescriptor_Entry) error {
	return eachField(wire, func(f field, value []byte, _ uint64) error {
		switch f {
		case bytesField(1):
			e.Key = string(value)
		case bytesField(2):
			e.Value = string(value)
		}
		return nil
	})
}

// field is a field's number and wire type; one of another wire type than weir
// expects is another field, and unknown.
type field struct {
	number protowire.Number
	kind   protowire.Type
}

func bytesField(n protowire.Number) field  { return field{n, protowire.BytesType} }
func varintField(n protowire.Number) field { return field{n, protowire.VarintType} }

// eachField calls known with each field of a message.
func eachField(wire []byte, known func(f field, value []byte, varint uint64) error) error {
	for len(wire) > 0 {
		id, kind, n := protowire.ConsumeTag(wire)
		if n < 0 {
			return fmt.Errorf("read a field's tag: %w", protowire.ParseError(n))
		}
		wire = wire[n:]
		var value []byte
		var varint uint64
		switch kind {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(wire)
		case protowire.VarintType:
			varint, n = protowire.ConsumeVarint(wire)
		default:
			n = protowire.ConsumeFieldValue(id, kind, wire)
		}
		if n < 0 {
			return fmt.Errorf("read field %d: %w", id, protowire.ParseError(n))
		}
		wire = wire[n:]
		if err := known(field{id, kind}, value, varint); err != nil {
			return err
		}
	}
	return nil
}
