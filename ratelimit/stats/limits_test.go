package stats_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-rls/weir/ratelimit/stats"
)

func newStats(t *testing.T, o stats.Options) *stats.Stats {
	t.Helper()
	s, err := stats.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// counted is what /stats shows of what was counted.
func counted(t *testing.T, s *stats.Stats) map[string]uint64 {
	t.Helper()
	r := httptest.NewRecorder()
	s.StatsHandler().ServeHTTP(r, httptest.NewRequest("GET", "/stats", nil))
	lines := map[string]string{}
	for line := range strings.Lines(r.Body.String()) {
		name, value, _ := strings.Cut(line, ": ")
		lines[name] = value
	}
	var all map[string]uint64
	if err := json.Unmarshal([]byte(lines["ratelimit"]), &all); err != nil {
		t.Fatalf("%v in %s", err, r.Body)
	}
	if !strings.HasPrefix(lines["cmdline"], "[") || !strings.HasPrefix(lines["memstats"], "{") {
		t.Errorf("/stats lacks what expvar has: %s", r.Body)
	}
	return all
}

func TestNames_AreThoseOfTheReference(t *testing.T) {
	s := newStats(t, stats.Options{})
	for i, c := range []*stats.Counter{
		s.RedisError, s.ServiceError, s.ConfigLoadSuccess, s.ConfigLoadError, s.GlobalShadowMode,
	} {
		c.Add(uint64(i + 1))
	}
	l := s.Limit("d", "k_v.k2_v2")
	for i, c := range []*stats.Counter{
		l.TotalHits, l.OverLimit, l.NearLimit, l.OverLimitWithLocalCache, l.WithinLimit, l.ShadowMode, l.TotalNegativeHits,
	} {
		c.Add(uint64(10 + i))
	}
	s.DomainNotFound("gone")
	s.RedisPool("redis_pool", func() stats.Pool { return stats.Pool{Active: 3, Opened: 5, Closed: 2} })
	s.RedisPool("redis_per_second_pool", func() stats.Pool { return stats.Pool{Active: 1} })
	s.LocalCache(func() stats.Cache { return stats.Cache{Entries: 7, Hits: 8} })

	got := counted(t, s)
	for name := range got {
		if strings.HasPrefix(name, "ratelimit.go.") {
			delete(got, name)
		}
	}
	want := map[string]uint64{
		"ratelimit.service.call.should_rate_limit.redis_error":                 1,
		"ratelimit.service.call.should_rate_limit.service_error":               2,
		"ratelimit.service.config_load_success":                                3,
		"ratelimit.service.config_load_error":                                  4,
		"ratelimit.service.global_shadow_mode":                                 5,
		"ratelimit.service.rate_limit.d.k_v.k2_v2.total_hits":                  10,
		"ratelimit.service.rate_limit.d.k_v.k2_v2.over_limit":                  11,
		"ratelimit.service.rate_limit.d.k_v.k2_v2.near_limit":                  12,
		"ratelimit.service.rate_limit.d.k_v.k2_v2.over_limit_with_local_cache": 13,
		"ratelimit.service.rate_limit.d.k_v.k2_v2.within_limit":                14,
		"ratelimit.service.rate_limit.d.k_v.k2_v2.shadow_mode":                 15,
		"ratelimit.service.rate_limit.d.k_v.k2_v2.total_negative_hits":         16,
		"ratelimit.service.rate_limit.gone.domain_not_found":                   1,
		"ratelimit.redis_pool.cx_active":                                       3,
		"ratelimit.redis_pool.cx_total":                                        5,
		"ratelimit.redis_pool.cx_local_close":                                  2,
		"ratelimit.redis_per_second_pool.cx_active":                            1,
		"ratelimit.localcache.evacuateCount":                                   0,
		"ratelimit.localcache.expiredCount":                                    0,
		"ratelimit.localcache.entryCount":                                      7,
		"ratelimit.localcache.averageAccessTime":                               0,
		"ratelimit.localcache.hitCount":                                        8,
		"ratelimit.localcache.missCount":                                       0,
		"ratelimit.localcache.lookupCount":                                     0,
		"ratelimit.localcache.overwriteCount":                                  0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNames_AreMadeFitForEverySink(t *testing.T) {
	for name, want := range map[string]string{
		"foo|bar":                            "foo_bar",
		"foo:bar":                            "foo_bar",
		"masked_remote_address_0.0.0.0/0":    "masked_remote_address_0_0_0_0/0",
		"remote_address_172.18.0.1.k_1.2":    "remote_address_172_18_0_1.k_1.2",
		"a_10.0.0.1_b_192.168.100.200":       "a_10_0_0_1_b_192_168_100_200",
		"line\nother.total_hits:1|c\x00\x7f": "line_other.total_hits_1_c__",
		"\xff":                               "_",
	} {
		s := newStats(t, stats.Options{})
		s.Limit("d", name).TotalHits.Add(1)
		if got := counted(t, s)["ratelimit.service.rate_limit.d."+want+".total_hits"]; got != 1 {
			t.Errorf("%q is not shown as %q: %v", name, want, counted(t, s))
		}
	}
}

// Two names that are one when they are shown must be counted as one.
func TestNames_ThatAreOneWhenCleanedCountTogether(t *testing.T) {
	s := newStats(t, stats.Options{})
	s.Limit("d", "a:b").TotalHits.Add(1)
	s.Limit("d", "a_b").TotalHits.Add(2)
	if got := counted(t, s)["ratelimit.service.rate_limit.d.a_b.total_hits"]; got != 3 {
		t.Errorf("counted %d, want 3", got)
	}
}

// Overrides and detailed metrics make a name of each value that a client sends.
func TestLimit_AFloodOfNamesIsCountedUnderOther(t *testing.T) {
	var log strings.Builder
	s := newStats(t, stats.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	s.Limit("d", "before").TotalHits.Add(1)
	const flood = 12_000
	for i := range flood {
		s.Limit("d", fmt.Sprintf("k_%d", i)).TotalHits.Add(1)
		s.DomainNotFound(fmt.Sprintf("unknown%d", i))
	}
	s.Limit("e", "late").OverLimit.Add(1)
	s.RuleLimit("e", "rule").OverLimit.Add(1)
	s.Limit("d", "before").TotalHits.Add(1)
	s.DomainNotFound(strings.Repeat("x", 1001))

	got := counted(t, s)
	for name, want := range map[string]uint64{
		"ratelimit.service.rate_limit.d.before.total_hits":    2,
		"ratelimit.service.rate_limit.d.k_9998.total_hits":    1,
		"ratelimit.service.rate_limit.d.other.total_hits":     flood - 9_999,
		"ratelimit.service.rate_limit.e.other.over_limit":     1,
		"ratelimit.service.rate_limit.e.rule.over_limit":      1, // what is named by rules alone keeps its name
		"ratelimit.service.rate_limit.other.domain_not_found": flood - 1_000 + 1,
	} {
		if got[name] != want {
			t.Errorf("%s is %d, want %d", name, got[name], want)
		}
	}
	if len(got) > 10_000+1_000+100 {
		t.Errorf("%d numbers are shown", len(got))
	}
	if n := strings.Count(log.String(), "counted_as=other"); n != 1 {
		t.Errorf("the flood was told %d times, want once: %s", n, log.String())
	}
}

// A few long names would take what ten thousand of the usual length do.
func TestLimit_ANameThatIsTooLongIsCountedUnderOther(t *testing.T) {
	s := newStats(t, stats.Options{})
	s.Limit("d", strings.Repeat("x", 1000)).TotalHits.Add(1)
	s.Limit(strings.Repeat("d", 1001), "k").TotalHits.Add(2)
	got := counted(t, s)
	if got["ratelimit.service.rate_limit.d.other.total_hits"] != 1 || got["ratelimit.service.rate_limit.other.other.total_hits"] != 2 {
		t.Errorf("they are shown as %v", got)
	}
}

func TestLimit_AFloodOfDomainsIsCountedUnderOther(t *testing.T) {
	s := newStats(t, stats.Options{})
	for i := range 11_200 {
		s.Limit(fmt.Sprintf("d%d", i), "k").TotalHits.Add(1)
	}
	got := counted(t, s)
	if n := got["ratelimit.service.rate_limit.other.other.total_hits"]; n != 200 {
		t.Errorf("%d are counted under other.other, want 200", n)
	}
	if len(got) > 10_000+1_000+100 {
		t.Errorf("%d numbers are shown", len(got))
	}
}

func TestLimit_FindsAKnownNameWithoutAllocation(t *testing.T) {
	s := newStats(t, stats.Options{})
	domain, name := "d", strings.Repeat("k_v.", 10)
	s.Limit(domain, name)
	if n := testing.AllocsPerRun(1000, func() { s.Limit(domain, name).TotalHits.Add(1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLimit_CountsWhatManyCountAtATime(t *testing.T) {
	s := newStats(t, stats.Options{})
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for i := range 2_000 {
				s.Limit("d", fmt.Sprintf("k_%d", i%100)).TotalHits.Add(1)
				s.DomainNotFound(fmt.Sprintf("u%d", i%50))
			}
		})
	}
	callers.Wait()
	var hits, unknown uint64
	for name, n := range counted(t, s) {
		if strings.HasSuffix(name, ".total_hits") {
			hits += n
		}
		if strings.HasSuffix(name, ".domain_not_found") {
			unknown += n
		}
	}
	if hits != 16_000 || unknown != 16_000 {
		t.Errorf("%d hits and %d unknown domains are shown, want 16000 each", hits, unknown)
	}
}

func BenchmarkLimit(b *testing.B) {
	s, err := stats.New(stats.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s.Limit("domain", "key_value.key2_value2")
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			s.Limit("domain", "key_value.key2_value2").TotalHits.Add(1)
		}
	})
}
