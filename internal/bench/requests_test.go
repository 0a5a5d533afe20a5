package bench

import (
	"math"
	"strconv"
	"strings"
	"testing"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// Every request of the block reads as the descriptors with the key's number in
// them.
func TestEncode_MakesTheRequestOfEachKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := someLoad()
		l.Descriptors = []string{"tenant=t%{7},user=u%d-%d", "fixed=x"}
		l.Keys = rapid.IntRange(1, 300).Draw(t, "keys")
		l.Hits = rapid.Uint32().Draw(t, "hits")
		all, err := encode(l)
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(0, l.Keys-1).Draw(t, "n")
		var request rlsv3.RateLimitRequest
		if err := proto.Unmarshal(all.of(n), &request); err != nil {
			t.Fatal(err)
		}
		var text []string
		for _, d := range request.GetDescriptors() {
			for _, e := range d.GetEntries() {
				text = append(text, e.GetKey()+"="+e.GetValue())
			}
		}
		number := strconv.Itoa(n)
		want := "tenant=t" + strconv.Itoa(n%7) + " user=u" + number + "-" + number + " fixed=x"
		if got := strings.Join(text, " "); got != want || request.GetHitsAddend() != l.Hits || len(request.GetDescriptors()) != 2 {
			t.Fatalf("%d: %q, not %q: %v", n, got, want, &request)
		}
	})
}

// The verdict is found in whatever a server puts around it.
func TestOverallCode_IsWhatProtobufReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		answer := &rlsv3.RateLimitResponse{
			OverallCode: rlsv3.RateLimitResponse_Code(rapid.Int32Range(0, math.MaxInt32).Draw(t, "code")),
			RawBody:     rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "statuses") {
			answer.Statuses = append(answer.Statuses, &rlsv3.RateLimitResponse_DescriptorStatus{DurationUntilReset: durationpb.New(1), LimitRemaining: 7})
			answer.ResponseHeadersToAdd = append(answer.ResponseHeadersToAdd, &corev3.HeaderValue{Key: "k", Value: "v"})
		}
		encoded, err := proto.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		if code, err := overallCode(encoded); err != nil || code != answer.GetOverallCode() {
			t.Fatalf("%v, %v, not %v", code, err, answer.GetOverallCode())
		}
		// Cut off or arbitrary, it is an error or some verdict, as protobuf says.
		damaged := encoded[:rapid.IntRange(0, len(encoded)).Draw(t, "cut")]
		if rapid.Bool().Draw(t, "arbitrary") {
			damaged = rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		}
		if _, err := overallCode(damaged); err != nil && proto.Unmarshal(damaged, &rlsv3.RateLimitResponse{}) == nil {
			t.Fatalf("%x: %v", damaged, err)
		}
	})
}

// Keys are drawn from those there are, the same with the same seed.
func TestKeys_AreDrawnWithinAndAlikeForASeed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		distribution := rapid.SampledFrom(Distributions).Draw(t, "distribution")
		keys := rapid.IntRange(1, 1000).Draw(t, "keys")
		seed, worker := rapid.Uint64().Draw(t, "seed"), rapid.IntRange(0, 100).Draw(t, "worker")
		one, err := keyChooser(distribution, keys, seed, worker)
		if err != nil {
			t.Fatal(err)
		}
		other, err := keyChooser(distribution, keys, seed, worker)
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(50) {
			if a, b := one(i), other(i); a != b || a < 0 || a >= keys {
				t.Fatalf("%d and %d of %d keys", a, b, keys)
			}
		}
	})
}

func TestKeys_AreDistributedAsTheirNameSays(t *testing.T) {
	const draws, keys = 100_000, 10_000
	for distribution, share := range map[string][2]float64{ // the first key's share, least and most, in percent
		Uniform: {0, 0.1}, Hot: {89, 91}, Zipf: {14.5, 15.8}, Sequence: {0.01, 0.01},
	} {
		choose, err := keyChooser(distribution, keys, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		var counts [keys]int
		for i := range int64(draws) {
			counts[choose(i)]++
		}
		if got := 100 * float64(counts[0]) / draws; got < share[0] || got > share[1] {
			t.Errorf("%s: the first key has %.2f %%", distribution, got)
		}
	}
}

func TestCheck_TellsEveryFaultByItsFlag(t *testing.T) {
	if err := someLoad().Check(); err != nil {
		t.Error(err)
	}
	err := Load{Descriptors: []string{"user", "=x"}, Distribution: "normal", InFlight: maxInFlight + 1, Rate: -1}.Check()
	for _, flag := range []string{
		"--target is empty", "--domain is empty", `--descriptor: "user" is not KEY=VALUE`, `--descriptor: "=x"`,
		`--distribution: "normal" is none of uniform, hot, zipf, sequence`, "--keys: 0 is not from 1", "--in-flight: 10001 is not from 1 to 10000",
		"--connections: 0", "--rate: -1", "--timeout: 0s",
	} {
		if err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("not told: %s\n%v", flag, err)
		}
	}
}
