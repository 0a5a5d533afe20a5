package service

import (
	"bytes"
	"log/slog"
	"testing"
	"unicode/utf8"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// everyField is a request in which each field of the protocol is set.
func everyField(value string) *rls.RateLimitRequest {
	return &rls.RateLimitRequest{
		Domain: "d", HitsAddend: 7,
		Descriptors: []*ratelimit.RateLimitDescriptor{
			{
				Entries:        []*ratelimit.RateLimitDescriptor_Entry{{Key: "user", Value: value}, {Key: "api", Value: "a"}},
				Limit:          &ratelimit.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 5, Unit: typev3.RateLimitUnit_HOUR, UnitMultiplier: wrapperspb.UInt32(3)},
				HitsAddend:     wrapperspb.UInt64(9),
				IsNegativeHits: true,
			},
			{Entries: []*ratelimit.RateLimitDescriptor_Entry{{Key: "address", Value: "127.0.0.1"}}},
		},
	}
}

func unmarshal(wire []byte) (*rls.RateLimitRequest, error) {
	request := &rls.RateLimitRequest{}
	err := codec{CodecV2: encoding.GetCodecV2("proto")}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire)}, request)
	return request, err
}

// A header with one byte that is no UTF-8 must not make the call fail, because
// Envoy admits what its limiter fails to judge.
func TestInvalidTextIsJudgedLikeAnyOther(t *testing.T) {
	const placeholder, bad = "a@@b", "a\xff\xfeb"
	wire, err := proto.Marshal(everyField(placeholder))
	if err != nil {
		t.Fatal(err)
	}
	wire = bytes.Replace(wire, []byte(placeholder), []byte(bad), 1)
	if proto.Unmarshal(wire, &rls.RateLimitRequest{}) == nil {
		t.Fatal("the strict decoder takes invalid text: this codec has no purpose any more")
	}
	got, err := unmarshal(wire)
	if err != nil {
		t.Fatalf("a request with invalid text was refused: %v", err)
	}
	if value := got.Descriptors[0].Entries[0].Value; value != bad {
		t.Errorf("the value arrived as %q, want its bytes %q", value, bad)
	}
	got.Descriptors[0].Entries[0].Value = placeholder
	if !proto.Equal(got, everyField(placeholder)) {
		t.Errorf("besides the value the request changed:\n%v", got)
	}
}

func TestAMessageThatIsNoRequestIsRefused(t *testing.T) {
	if got, err := unmarshal([]byte{0x0a, 0xff, 0x01}); err == nil {
		t.Errorf("a cut-off message was read as %v", got)
	}
}

type brokenCodec struct{ encoding.CodecV2 }

func (brokenCodec) Unmarshal(mem.BufferSlice, any) error { panic("a bug") }

func TestAPanicWhileDecodingIsAnErrorAndCounted(t *testing.T) {
	panics := 0
	c := codec{brokenCodec{}, recovery{slog.New(slog.DiscardHandler), func() { panics++ }}}
	if err := c.Unmarshal(nil, &rls.RateLimitRequest{}); status.Code(err) != codes.Internal || panics != 1 {
		t.Errorf("got %v and %d panics counted", err, panics)
	}
}

// Whatever the strict decoder accepts, the lenient one must read the same; and
// nothing may make either panic.
func FuzzDecodeRequest(f *testing.F) {
	for _, value := range []string{"", "x", "日本", "a\xffb"} {
		request := everyField("@@@")
		wire, err := proto.Marshal(request)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Replace(wire, []byte("@@@"), append([]byte(value), "@@@"[min(3, len(value)):]...), 1))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		strict, lenient := &rls.RateLimitRequest{}, &rls.RateLimitRequest{}
		strictErr, lenientErr := proto.Unmarshal(wire, strict), decodeRequest(wire, lenient)
		if strictErr != nil {
			return
		}
		if lenientErr != nil {
			t.Fatalf("only the lenient decoder refuses: %v", lenientErr)
		}
		if !proto.Equal(withoutUnknown(strict), lenient) {
			t.Errorf("strict:  %v\nlenient: %v", strict, lenient)
		}
		if !utf8.ValidString(lenient.Domain) {
			t.Error("the strict decoder let invalid text pass")
		}
	})
}

// withoutUnknown drops the fields that only a newer protocol knows; the lenient
// decoder does not keep them.
func withoutUnknown(r *rls.RateLimitRequest) *rls.RateLimitRequest {
	r = proto.Clone(r).(*rls.RateLimitRequest)
	r.ProtoReflect().SetUnknown(nil)
	for _, d := range r.Descriptors {
		d.ProtoReflect().SetUnknown(nil)
		for _, e := range d.Entries {
			e.ProtoReflect().SetUnknown(nil)
		}
	}
	return r
}
