package ratelimit_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	envoyratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/ratelimit/decide"
	"github.com/weir-rls/weir/ratelimit/sources"
	"github.com/weir-rls/weir/ratelimit/stats"
)

// loaded are the rules of files below a RUNTIME_ROOT, by their names, and what reading
// them found.
func loaded(t *testing.T, files map[string]string, options descriptors.Options) (*descriptors.Source, descriptors.Report) {
	t.Helper()
	root := t.TempDir()
	config := filepath.Join(root, "ratelimit", "config")
	if err := os.MkdirAll(config, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(config, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	options.Dialect = descriptors.Reference
	source, report := descriptors.NewSource("", options), descriptors.Report{}
	o := sources.TreeOptions{Root: root, Subdirectory: "ratelimit", App: "config", WatchRoot: true}
	sources.NewTree(o, source, func(r descriptors.Report) { report = r }).First()
	return source, report
}

// deciding is a service on rules, at a time that stands still.
func deciding(t *testing.T, source *descriptors.Source) *decide.Service {
	t.Helper()
	counted, err := stats.New(stats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	return decide.New(decide.Options{
		Rules: source.Rules, Store: memory.New(memory.Options{Now: now}), Stats: counted, Settings: decide.Settings{NearLimitRatio: 0.8}, Now: now,
	})
}

// request is what is asked of a domain: descriptors divided by " | ", their entries by
// commas. hits are 1 if they are 0.
func request(domain, ask string, hits uint32) *rls.RateLimitRequest {
	r := &rls.RateLimitRequest{Domain: domain, HitsAddend: hits}
	for descriptor := range strings.SplitSeq(ask, " | ") {
		var entries []*envoyratelimit.RateLimitDescriptor_Entry
		for entry := range strings.SplitSeq(descriptor, ",") {
			key, value, _ := strings.Cut(entry, "=")
			entries = append(entries, &envoyratelimit.RateLimitDescriptor_Entry{Key: key, Value: value})
		}
		r.Descriptors = append(r.Descriptors, &envoyratelimit.RateLimitDescriptor{Entries: entries})
	}
	return r
}

func answer(t *testing.T, s *decide.Service, r *rls.RateLimitRequest) string {
	t.Helper()
	got, err := s.ShouldRateLimit(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return inWords(got)
}

// inWords is an answer in words: the code of all, and of each descriptor its code, what
// remains and its limit, if it has one.
func inWords(got *rls.RateLimitResponse) string {
	var parts []string
	for _, status := range got.GetStatuses() {
		part := status.GetCode().String()
		switch limit := status.GetCurrentLimit(); {
		case limit != nil:
			part += fmt.Sprintf(" %d of %d per %v", status.GetLimitRemaining(), limit.GetRequestsPerUnit(), limit.GetUnit())
		case status.GetLimitRemaining() == math.MaxUint32:
			part += " unlimited"
		}
		parts = append(parts, part)
	}
	return got.GetOverallCode().String() + ": " + strings.Join(parts, " | ")
}

// statName is what the first limit that a request meets is called in the statistics.
func statName(s *descriptors.Source, r *rls.RateLimitRequest) string {
	asked := &descriptors.Request{Domain: r.GetDomain(), Descriptors: make([]descriptors.Descriptor, 1)}
	for _, e := range r.GetDescriptors()[0].GetEntries() {
		asked.Descriptors[0].Entries = append(asked.Descriptors[0].Entries, descriptors.Entry{Key: e.GetKey(), Value: e.GetValue()})
	}
	found := s.Rules().Resolve(asked).Matches
	if len(found) == 0 {
		return ""
	}
	return found[0].Limit.StatName(asked.Descriptors[0].Entries)
}
