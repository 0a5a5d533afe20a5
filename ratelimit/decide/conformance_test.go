package decide

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/storetest"
	"github.com/weir-rls/weir/ratelimit/stats"
)

// treesInBatch share a server and its settings: making these costs more than a history.
const treesInBatch = 50

// Each request of random histories to random rules is answered as the reference service
// would: codes, what remains, when it is reset, limits, headers, metadata and statistics.
func TestConformance_AsTheReferenceService(t *testing.T) {
	batches := storetest.Share(50_000, 25) / treesInBatch
	for batch := range batches {
		if !t.Run("", func(t *testing.T) {
			b := newBatch(uint64(batch))
			b.serve(t, b.change)
			b.run(t)
		}) {
			t.Fatalf("batch %d of %d", batch, batches)
		}
	}
}

// batch is random domains on one service.
type batch struct {
	random
	settings modelSettings
	trees    [][]*modelRule
	yaml     []string

	clock   *clock
	stats   *stats.Stats
	client  rls.RateLimitServiceClient
	instant func() (at time.Time, one bool) // of the last decision, if it was one
}

func newBatch(seed uint64) *batch {
	b := &batch{random: random{rand.New(rand.NewPCG(1, seed))}}
	for i := range treesInBatch {
		b.trees = append(b.trees, b.rules(3, b.chance(50)))
		b.yaml = append(b.yaml, domainYAML(fmt.Sprint("d", i), b.trees[i]))
	}
	b.settings = modelSettings{
		stop: b.chance(35), shadow: b.chance(20), quota: b.chance(20), cache: b.chance(40), perSecond: b.chance(30),
		headers: b.chance(50), ratio: pick(b.random, []float32{0.8, 0.8, 0.5, 0, 1}),
	}
	return b
}

// serve makes the service, with what change makes of its options.
func (b *batch) serve(t *testing.T, change func(*Options)) {
	w := worldOf(t, loadRules(t, b.yaml...), change)
	b.clock, b.stats, b.client = w.clock, w.stats, wire{w.Service}
	b.instant = func() (time.Time, bool) { return b.clock.now(), true }
	if b.chance(10) { // the network is most of what the others would take
		b.client = dial(t, w.Service)
	}
}

// change makes options those of the settings.
func (b *batch) change(o *Options) {
	o.Settings = Settings{
		NearLimitRatio: b.settings.ratio, ShadowMode: b.settings.shadow, QuotaMode: b.settings.quota, StopIncrement: b.settings.stop,
		DynamicMetadata: true, Headers: Headers{On: b.settings.headers, Limit: "RateLimit-Limit", Remaining: "RateLimit-Remaining", Reset: "RateLimit-Reset"},
	}
	if b.settings.cache {
		o.Settings.LocalCacheBytes = 1 << 20
	}
	if b.settings.perSecond {
		o.PerSecond = memory.New(memory.Options{Now: o.Now})
	}
}

func (b *batch) run(t *testing.T) {
	for i := range b.trees {
		b.history(t, i)
	}
}

// history asks a domain some times, and the model of it.
func (b *batch) history(t *testing.T, i int) {
	m := newModel(b.settings, b.trees[i])
	domain := fmt.Sprint("d", i)
	shadowed := b.stats.GlobalShadowMode.Value()
	for n := range 3 + b.IntN(4) {
		b.clock.advance(pick(b.random, []time.Duration{0, 0, 0, 0, time.Millisecond, 300 * time.Millisecond, time.Second, 40 * time.Second, time.Hour, 26 * time.Hour, 200 * 24 * time.Hour}))
		asked, hits := b.descriptors(b.trees[i]), pick(b.random, []uint32{0, 0, 0, 1, 2, 3, 1<<32 - 1})
		request := b.request(domain, asked, hits)
		answer, err := b.client.ShouldRateLimit(context.Background(), request)
		if err != nil {
			t.Fatal(err)
		}
		at, one := b.instant()
		if !one {
			return
		}
		m.now = float64(at.UnixMicro()) / 1e6
		want := m.ask(asked, hits)
		if differs := want.compare(answer); differs != "" {
			t.Fatalf("domain %d, request %d at %v: %s\n%+v\n%s\nanswer: %v\n%s", i, n, at, differs, b.settings, request, answer, b.yaml[i])
		}
	}
	if got := b.stats.GlobalShadowMode.Value() - shadowed; got != m.shadowed {
		t.Fatalf("domain %d: global_shadow_mode is %d, want %d", i, got, m.shadowed)
	}
	b.compareStats(t, m, i)
}

// compare says what is other in an answer than it should be.
func (a *modelAnswer) compare(got *rls.RateLimitResponse) string {
	if over := got.OverallCode == rls.RateLimitResponse_OVER_LIMIT; over != a.over || got.OverallCode == rls.RateLimitResponse_UNKNOWN {
		return fmt.Sprintf("overall code %v, want over=%v", got.OverallCode, a.over)
	}
	if len(got.Statuses) != len(a.statuses) {
		return fmt.Sprintf("%d statuses, want %d", len(got.Statuses), len(a.statuses))
	}
	for i, want := range a.statuses {
		if text := want.text(); text != statusText(got.Statuses[i]) {
			return fmt.Sprintf("status %d: %s, want %s", i, statusText(got.Statuses[i]), text)
		}
	}
	var headers []string
	for _, h := range got.ResponseHeadersToAdd {
		headers = append(headers, h.Value)
	}
	if fmt.Sprint(headers) != fmt.Sprint(a.headers) {
		return fmt.Sprintf("headers %v, want %v", headers, a.headers)
	}
	metadata, _ := got.DynamicMetadata.AsMap()["metadata"].(map[string]any)
	if fmt.Sprint(metadata) != fmt.Sprint(a.metadata) {
		return fmt.Sprintf("metadata %v, want %v", metadata, a.metadata)
	}
	return ""
}

func (s *modelStatus) text() string {
	code := "OK"
	if s.over {
		code = "OVER_LIMIT"
	}
	if s.limit == nil {
		return fmt.Sprintf("%s, %d left", code, s.remaining)
	}
	times := s.limit.multiplier
	if times <= 1 {
		times = 0
	}
	return fmt.Sprintf("%s, %d left for %d s of %q: %d in %s * %d", code, s.remaining, s.reset, s.limit.name, s.limit.requests, modelUnitNames[s.limit.unit], times)
}

func statusText(s *rls.RateLimitResponse_DescriptorStatus) string {
	l := s.CurrentLimit
	if l == nil {
		return fmt.Sprintf("%s, %d left", s.Code, s.LimitRemaining)
	}
	return fmt.Sprintf("%s, %d left for %d s of %q: %d in %s * %d", s.Code, s.LimitRemaining, s.DurationUntilReset.Seconds, l.Name, l.RequestsPerUnit, strings.ToLower(l.Unit.String()), l.UnitMultiplier.GetValue())
}

// compareStats compares what was counted of each limit that was met.
func (b *batch) compareStats(t *testing.T, m *model, i int) {
	for name, want := range m.stats {
		s := b.stats.Limit(fmt.Sprint("d", i), name)
		got := modelCount{s.TotalHits.Value(), s.OverLimit.Value(), s.NearLimit.Value(), s.OverLimitWithLocalCache.Value(), s.WithinLimit.Value(), s.ShadowMode.Value(), s.TotalNegativeHits.Value()}
		if got != *want {
			t.Fatalf("domain %d: the statistics of %s are %+v, want %+v\n%+v\n%s", i, name, got, *want, b.settings, b.yaml[i])
		}
	}
}
