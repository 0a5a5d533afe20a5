package service

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// codec reads and writes the calls of [Service] in their wire form, and every
// other message with the codec that it extends.
type codec struct {
	encoding.CodecV2
	recovery // gRPC decodes a message before it calls the interceptors
}

// Unmarshal implements [encoding.CodecV2].
func (c codec) Unmarshal(data mem.BufferSlice, v any) (err error) {
	defer c.catch("decode", &err)
	switch v := v.(type) {
	case *call:
		if len(data) == 1 {
			return v.read(data[0].ReadOnlyData())
		}
		return v.read(data.Materialize())
	}
	return c.CodecV2.Unmarshal(data, v)
}

// Marshal implements [encoding.CodecV2].
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if v, ok := v.(*call); ok {
		return mem.BufferSlice{mem.SliceBuffer(v.finish())}, nil
	}
	return c.CodecV2.Marshal(v)
}
