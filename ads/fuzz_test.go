package ads

import (
	"math"
	"reflect"
	"testing"
	"unicode"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weir-rls/weir/descriptors"
)

// A control plane can send any bytes: they end nothing, and what is said of them is bounded
// and free of control characters. What could be read makes a rule file that is YAML.
func FuzzResource(f *testing.F) {
	f.Add(message(1, "r", 2, "d", 3, message(1, "k", 2, "v", 3, message(1, 2, 2, 5, 4, "n", 5, message(1, "o")), 4, message(1, "in", 3, message(3, 1)), 5, 1, 6, 1, 7, 1)))
	f.Add(message(2, "d", 3, message(1, "k", 8, message(1, message(1, "a", 2, message(3, "b"))))))
	f.Add(message(2, "d", 3, message(3, message(2, "5"))))
	f.Add(message(2, "\xff", 9, 1))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		files, _ := given([]*anypb.Any{resourceOf(b), {TypeUrl: wrapped, Value: b}})
		if g := files[0]; g.Unread == "" {
			if _, fault := descriptors.ParseDocument("f", g.Content); fault != nil && len(g.Content) > 1 && fault.Message != "the file is empty" {
				t.Fatalf("%v of\n%s", fault, g.Content)
			}
			for line := range 100 {
				g.Path(line, 1)
			}
		}
		report := descriptors.NewSource("", descriptors.Options{}).Replace(files, true)
		if !report.Changed {
			t.Fatal("nothing has changed")
		}
		for _, fault := range report.Faults {
			if len(fault.Error()) > 10_000 {
				t.Fatalf("a fault of %d bytes", len(fault.Error()))
			}
			for _, r := range fault.Error() {
				if !unicode.IsPrint(r) {
					t.Fatalf("%U in %q", r, fault.Error())
				}
			}
		}
		if report.Faults.Failed() && len(detail(report.Faults)) > maxBytes+10_000 {
			t.Fatalf("the server is told %d bytes", len(detail(report.Faults)))
		}
	})
}

// Metadata that come over ADS are those of the rule, whatever they hold, or are refused.
func FuzzMetadata(f *testing.F) {
	value := func(field int, v any) []byte { return message(1, message(1, "k", 2, message(field, v))) }
	f.Add([]byte{})
	f.Add(value(1, 0))
	f.Add(value(3, "yes"))
	f.Add(value(3, "\x00\u2028: #\"'<<"))
	f.Add(value(4, 1))
	f.Add(value(5, value(3, "")))
	f.Add(value(6, message(1, message(4, 0), 1, message(), 1, message(6, message()))))
	f.Add(append(value(5, value(4, 1)), message(1, message(1, "", 2, message(1, 0)), 1, message(1, "<<", 2, message(5, message())))...))
	for _, n := range []float64{0, -1, 0.1, 1 << 53, 1e300, 5e-324, math.Inf(1), math.NaN()} {
		number := protowire.AppendFixed64(protowire.AppendTag(nil, 2, protowire.Fixed64Type), math.Float64bits(n))
		f.Add(message(1, message(1, "n", 2, number)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		files, _ := given([]*anypb.Any{resourceOf(message(1, "r", 2, "d", 3, message(1, "k", 3, message(1, 2, 2, 5), 8, b)))})
		source := descriptors.NewSource("", descriptors.Options{})
		if source.Replace(files, true).Faults.Failed() {
			return
		}
		var sent structpb.Struct
		if err := proto.Unmarshal(b, &sent); err != nil {
			t.Fatalf("what is no Struct is taken: %v", err)
		}
		if got := source.Rules().Limits()[0].Metadata.Map(); !reflect.DeepEqual(got, sent.AsMap()) {
			t.Fatalf("sent %v, the rule has %v", sent.AsMap(), got)
		}
	})
}
