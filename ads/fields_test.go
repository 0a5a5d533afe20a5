package ads

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	rules "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// everyField are rules that use every field, also those that the message which
// go-control-plane has registered does not know: it sends them as it got them.
func everyField(t *testing.T, stated map[string]any) *rules.RateLimitConfig {
	t.Helper()
	meta, err := structpb.NewStruct(stated)
	if err != nil {
		t.Fatal(err)
	}
	metadata, err := proto.Marshal(meta)
	if err != nil {
		t.Fatal(err)
	}
	of := func(unit, requests int) []byte { return message(1, unit, 2, requests) }
	raw := message(1, "r", 2, "shop",
		3, message(1, "user", 3, message(1, 7, 2, 5, 4, "per-user"), 6, 1, 8, metadata),
		3, message(1, "month", 3, of(5, 6)), 3, message(1, "year", 3, of(6, 7)),
		3, message(1, "trial", 3, of(2, 8), 5, 1), 3, message(1, "quota", 3, of(3, 9), 7, 1),
		3, message(1, "free", 3, message(3, 1)),
		3, message(1, "vip", 3, message(1, 4, 2, 10, 4, "vip", 5, message(1, "per-user"))))
	config := &rules.RateLimitConfig{}
	if err := proto.Unmarshal(raw, config); err != nil {
		t.Fatal(err)
	}
	return config
}

func TestRules_EveryFieldOfAMessageDecides(t *testing.T) {
	stated := map[string]any{"team": "search", "list": []any{1.5, true, nil, "x"}, "of": map[string]any{"a": map[string]any{}}}
	plane := partstest.StartControlPlane(t, loopback, "weir", nil)
	plane.Set("1", everyField(t, stated))
	f := follow(t, plane.Addr, nil, descriptors.Options{})
	f.await("the rules are in force", func() bool { return f.source.Rules() != nil })
	if answer := plane.Answered("1", false); answer.GetErrorDetail() != nil {
		t.Fatal(answer)
	}
	met := func(keys ...string) (all []descriptors.Match) {
		r := descriptors.Request{Domain: "shop"}
		for _, key := range keys {
			r.Descriptors = append(r.Descriptors, descriptors.Descriptor{Entries: []descriptors.Entry{{Key: key, Value: "v"}}})
		}
		return f.source.Rules().Resolve(&r).Matches
	}
	for key, want := range map[string]string{
		"user": "per-user 5 of 168h0m0s", "month": "month 6 a month", "year": "year 7 a year", "trial": "trial 8 of 1m0s, shadow", "quota": "quota 9 of 1h0m0s, quota",
		"free": "free, unlimited", "vip": "vip 10 of 24h0m0s",
	} {
		all := met(key)
		if len(all) != 1 {
			t.Errorf("%s meets %d limits", key, len(all))
			continue
		}
		if got := said(all[0].Limit); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	user := met("user")[0].Limit
	if !reflect.DeepEqual(user.Metadata.Map(), stated) {
		t.Errorf("the metadata are %v, want %v", user.Metadata.Map(), stated)
	}
	if got := user.StatName([]descriptors.Entry{{Key: "user", Value: "v"}}); !user.Detailed() || got != "user_v" {
		t.Errorf("detailed %v, as %q", user.Detailed(), got)
	}
	if both := met("user", "vip"); len(both) != 1 || both[0].Limit.Name != "vip" {
		t.Errorf("replaces leaves %d limits", len(both))
	}
}

// said is what a limit is.
func said(l *descriptors.Limit) string {
	text := l.Name
	switch unit := l.CalendarUnit(); {
	case l.Unlimited:
		return text + ", unlimited"
	case unit == descriptors.Month || unit == descriptors.Year:
		text += fmt.Sprintf(" %d a %s", l.Requests, map[descriptors.Unit]string{descriptors.Month: "month", descriptors.Year: "year"}[unit])
	default:
		text += fmt.Sprintf(" %d of %v", l.Requests, l.Period)
	}
	if l.Shadow {
		text += ", shadow"
	}
	if l.Quota {
		text += ", quota"
	}
	return text
}

// What a Struct can hold and a rule's metadata cannot is rejected with its place.
func TestRules_MetadataThatCannotBeRepeatedIsRejectedWithItsPlace(t *testing.T) {
	for _, n := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		metadata, err := proto.Marshal(&structpb.Struct{Fields: map[string]*structpb.Value{"n": structpb.NewNumberValue(n)}})
		if err != nil {
			t.Fatal(err)
		}
		_, got := loaded(t, resourceOf(message(1, "r", 2, "d", 3, message(1, "k", 3, message(1, 2, 2, 5), 8, metadata))))
		if want := `resource "r": descriptors[0]("k").metadata: error: `; !strings.Contains(got, want) {
			t.Errorf("%v: got %q, want %q", n, got, want)
		}
	}
}
