package bench

import (
	"fmt"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// wire sends requests that are encoded already and reads no more of an answer
// than its verdict: what the client does not spend, a server on the same
// machine has.
type wire struct{}

// Name is empty, for Envoy too sends "application/grpc" without a suffix.
func (wire) Name() string { return "" }

func (wire) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (wire) Unmarshal(data mem.BufferSlice, v any) error {
	code, err := overallCode(data.Materialize())
	*v.(*rlsv3.RateLimitResponse_Code) = code
	return err
}

// overallCode reads field 1 of an encoded RateLimitResponse.
func overallCode(b []byte) (code rlsv3.RateLimitResponse_Code, err error) {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, fmt.Errorf("the answer is no RateLimitResponse: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if field == 1 && kind == protowire.VarintType {
			v, size := protowire.ConsumeVarint(b)
			code, n = rlsv3.RateLimitResponse_Code(v), size
		} else {
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return 0, fmt.Errorf("the answer is no RateLimitResponse: %w", protowire.ParseError(n))
		}
		b = b[n:]
	}
	return code, nil
}
