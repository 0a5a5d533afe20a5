package decide

import (
	"strings"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// metadata repeats a request, for the filters after Envoy's rate limit filter and for its
// access log, with what the rules say of the descriptors that passed.
func metadata(r *rls.RateLimitRequest, verdicts []verdict, all []met) *structpb.Struct {
	list := &structpb.ListValue{Values: make([]*structpb.Value, 0, len(r.Descriptors))}
	for _, d := range r.Descriptors {
		list.Values = append(list.Values, structpb.NewStructValue(repeated(d)))
	}
	fields := map[string]*structpb.Value{
		"domain":      structpb.NewStringValue(text(r.Domain)),
		"descriptors": structpb.NewListValue(list),
	}
	if r.HitsAddend != 0 {
		fields["hitsAddend"] = structpb.NewNumberValue(float64(r.HitsAddend))
	}
	if passed := passedMetadata(verdicts, all); len(passed) > 0 {
		if of, err := structpb.NewStruct(passed); err == nil { // the rules were read into what a Struct holds
			fields["metadata"] = structpb.NewStructValue(of)
		}
	}
	return &structpb.Struct{Fields: fields}
}

// repeated is a descriptor as metadata repeats it.
func repeated(d *ratelimit.RateLimitDescriptor) *structpb.Struct {
	entries := &structpb.ListValue{Values: make([]*structpb.Value, 0, len(d.GetEntries()))}
	for _, e := range d.GetEntries() {
		entries.Values = append(entries.Values, structpb.NewStringValue(text(e.GetKey()+"="+e.GetValue())))
	}
	fields := map[string]*structpb.Value{"entries": structpb.NewListValue(entries)}
	if d.GetLimit() != nil {
		// The space between fields is one or two, by the build of the program.
		fields["limit"] = structpb.NewStringValue(strings.Join(strings.Fields(d.GetLimit().String()), " "))
	}
	if d.GetHitsAddend() != nil {
		fields["hitsAddend"] = structpb.NewNumberValue(float64(d.GetHitsAddend().GetValue()))
	}
	return &structpb.Struct{Fields: fields}
}

// passedMetadata joins the metadata of the limits of all descriptors that passed.
func passedMetadata(verdicts []verdict, all []met) map[string]any {
	passed := map[string]any{}
	for i := range all {
		if m := &all[i]; !verdicts[m.Descriptor].over {
			m.Limit.Metadata.AddTo(passed)
		}
	}
	return passed
}

// text is a text that a message can hold: of what is no UTF-8 another one.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
