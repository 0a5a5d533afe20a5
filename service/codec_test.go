package service

import (
	"bytes"
	"testing"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/weir-rls/weir/descriptors"
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

// modelRequest is what a request that Go's decoder has read means.
func modelRequest(r *rls.RateLimitRequest) descriptors.Request {
	request := descriptors.Request{Domain: r.GetDomain(), Hits: uint64(r.GetHitsAddend())}
	units := map[typev3.RateLimitUnit]descriptors.Unit{
		typev3.RateLimitUnit_SECOND: descriptors.Second, typev3.RateLimitUnit_MINUTE: descriptors.Minute, typev3.RateLimitUnit_HOUR: descriptors.Hour,
		typev3.RateLimitUnit_DAY: descriptors.Day, typev3.RateLimitUnit_MONTH: descriptors.Month, typev3.RateLimitUnit_YEAR: descriptors.Year,
	}
	for _, from := range r.GetDescriptors() {
		d := descriptors.Descriptor{HasHits: from.GetHitsAddend() != nil, Hits: from.GetHitsAddend().GetValue(), Negative: from.GetIsNegativeHits()}
		for _, e := range from.GetEntries() {
			d.Entries = append(d.Entries, descriptors.Entry{Key: e.GetKey(), Value: e.GetValue()})
		}
		if o := from.GetLimit(); o != nil {
			d.Override = &descriptors.Override{Requests: o.GetRequestsPerUnit(), Unit: units[o.GetUnit()], Multiplier: o.GetUnitMultiplier().GetValue()}
		}
		request.Descriptors = append(request.Descriptors, d)
	}
	return request
}

// decoded reads a request of which at most so many descriptors are judged.
func decoded(wire []byte, into *descriptors.Request, most int) error {
	b := Bounds{Descriptors: most}.bounded()
	_, err := decodeRequest(wire, into, &b)
	return err
}

// sameRequest takes no entries for an empty list of them.
func sameRequest(t testing.TB, got, want descriptors.Request) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the request was read otherwise (-want +got):\n%s", diff)
	}
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
		t.Fatal("Go's decoder takes invalid text: ours needs to be no other any more")
	}
	var got descriptors.Request
	if err := decoded(wire, &got, 32); err != nil {
		t.Fatalf("a request with invalid text was refused: %v", err)
	}
	sameRequest(t, got, modelRequest(everyField(bad)))
}

func TestAMessageThatIsNoRequestIsRefused(t *testing.T) {
	var got descriptors.Request
	for _, wire := range []string{"\x0a\xff\x01", "\x12\x02\x0a\x05", "\x12\x04\x0a\x02\x0a\x09", "\x12\x03\x12\x01\x08", "\x12\x03\x1a\x01\x08"} {
		if decoded([]byte(wire), &got, 32) == nil {
			t.Errorf("a cut-off message was read as %v", got)
		}
	}
}

func drawRequest(t *rapid.T) *rls.RateLimitRequest {
	r := &rls.RateLimitRequest{Domain: rapid.SampledFrom([]string{"", "d"}).Draw(t, "domain"), HitsAddend: rapid.Uint32().Draw(t, "hits")}
	for range rapid.IntRange(0, 4).Draw(t, "descriptors") {
		d := &ratelimit.RateLimitDescriptor{IsNegativeHits: rapid.Bool().Draw(t, "negative")}
		for range rapid.IntRange(0, 3).Draw(t, "entries") {
			d.Entries = append(d.Entries, &ratelimit.RateLimitDescriptor_Entry{Key: rapid.String().Draw(t, "key"), Value: rapid.String().Draw(t, "value")})
		}
		if rapid.Bool().Draw(t, "own hits") {
			d.HitsAddend = wrapperspb.UInt64(rapid.Uint64().Draw(t, "hits"))
		}
		if rapid.Bool().Draw(t, "own limit") {
			d.Limit = &ratelimit.RateLimitDescriptor_RateLimitOverride{
				RequestsPerUnit: rapid.Uint32().Draw(t, "requests"), Unit: typev3.RateLimitUnit(rapid.Int32Range(-1, 9).Draw(t, "unit")),
			}
			if rapid.Bool().Draw(t, "multiplied") {
				d.Limit.UnitMultiplier = wrapperspb.UInt32(rapid.Uint32().Draw(t, "multiplier"))
			}
		}
		r.Descriptors = append(r.Descriptors, d)
	}
	return r
}

// A message may have room for millions of empty descriptors: what is beyond the
// most that are judged is read and not kept.
func TestDescriptorsBeyondTheMostAreNotKept(t *testing.T) {
	var got descriptors.Request
	wire := bytes.Repeat([]byte{0x12, 0x04, 0x0a, 0x02, 0x0a, 0x00}, 10_000)
	if err := decoded(wire, &got, 3); err != nil || len(got.Descriptors) != 4 || len(got.Descriptors[3].Entries) != 1 {
		t.Errorf("%d descriptors kept (%v), want the three that may be judged and one to tell of more", len(got.Descriptors), err)
	}
	if decoded(append(wire, 0x12, 0x02, 0x0a, 0x05), &got, 3) == nil {
		t.Error("a message that is cut off beyond them was read")
	}
}

// brokenCodec is of health checks and the like: weir's own calls do not reach it.
type brokenCodec struct{ encoding.CodecV2 }

func (brokenCodec) Unmarshal(mem.BufferSlice, any) error { panic("a bug") }

func TestAPanicWhileDecodingIsAnErrorAndCounted(t *testing.T) {
	panics := 0
	c := testCodec(func() { panics++ })
	c.CodecV2 = brokenCodec{}
	if err := c.Unmarshal(nil, &rls.RateLimitRequest{}); status.Code(err) != codes.Internal || panics != 1 {
		t.Errorf("got %v and %d panics counted", err, panics)
	}
}

// Whatever Go's decoder accepts, ours must read the same; and nothing may make
// either panic.
func FuzzDecodeRequest(f *testing.F) {
	for _, value := range []string{"", "x", "日本", "a\xffb"} {
		request := everyField("@@@")
		wire, err := proto.Marshal(request)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Replace(wire, []byte("@@@"), append([]byte(value), "@@@"[min(3, len(value)):]...), 1))
	}
	f.Add([]byte("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")) // hits of 64 bits, which count as their last 32
	var got descriptors.Request                                   // used again and again, as a call's is
	f.Fuzz(func(t *testing.T, wire []byte) {
		strict := &rls.RateLimitRequest{}
		strictErr, err := proto.Unmarshal(wire, strict), decoded(wire, &got, 1<<20)
		if strictErr != nil {
			return
		}
		if err != nil {
			t.Fatalf("only our decoder refuses: %v", err)
		}
		sameRequest(t, got, modelRequest(strict))
	})
}
