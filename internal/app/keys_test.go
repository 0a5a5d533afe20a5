package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/traffic"
)

// hiddenRules use what writes a bucket or tells of one. The mark is what nobody may
// read, and addresses of 10.
const hiddenRules = `
domain: d
keys: {hash: hmac-sha256, secret_file: %s}
passive: [tenant, request_id]
unmatched: deny
pools: [{name: units, rate: 1000/s, split_by: [tenant]}]
descriptors:
  - {key: user, limits: [{name: per-user, rate: 2/hour, algorithm: token_bucket}, {name: daily, rate: 100/day}, {name: minute, rate: 50/min, algorithm: sliding_window}]}
  - {key: api_key, value: s3cr3t-stated, limits: [{rate: 1/hour}]}
  - {key: hot, limits: [{rate: 100000/s, burst: 1000000}]}
  - {key: drawer, value: s3cr3t-a, draw: {pool: units, guarantee: 1/s}}
  - {key: drawer, value: s3cr3t-b, draw: {pool: units, guarantee: 2/s}}
  - {key: at-once, limits: [{name: slots, algorithm: concurrency, slots: 1, slot_ttl: 1m}]}
  - {key: service, breaker: {failures: 1}}
  - {key: waiter, limits: [{name: waits, rate: 20/s, burst: 1, max_wait: 5s, max_waiters: 10}]}
  - {key: ip, value_cidr: 10.0.0.0/8, limits: [{rate: 1/hour}]}
`

const hiddenMark, hiddenAddress, hiddenSecret = "s3cr3t", "10.9.8.7", "the-secret-of-a-test-that-is-long-enough"

// asks is a request of one descriptor, as in "user=u tenant=t".
func asks(t *testing.T, limit *ratelimit.RateLimitDescriptor_RateLimitOverride, text string) []byte {
	t.Helper()
	d := &ratelimit.RateLimitDescriptor{Limit: limit}
	for _, pair := range strings.Fields(text) {
		key, value, _ := strings.Cut(pair, "=")
		d.Entries = append(d.Entries, &ratelimit.RateLimitDescriptor_Entry{Key: key, Value: value})
	}
	raw, err := proto.Marshal(&rls.RateLimitRequest{Domain: "d", Descriptors: []*ratelimit.RateLimitDescriptor{d}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// heard is everything that a Redis is told from now on.
func heard(t *testing.T, addr string) *partstest.Log {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	said, ended := &partstest.Log{}, make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(said, conn)
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		t.Fatal(err)
	}
	partstest.Eventually(t, 5*time.Second, "the Redis is heard", func() bool { return strings.Contains(said.String(), "+OK") })
	return said
}

// stored is every key of a Redis and what it holds.
func stored(t *testing.T, redis *parts.Redis) (text string, keys int) {
	t.Helper()
	admin := partstest.Admin(t, redis)
	all, err := admin.Keys(context.Background(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, key := range all {
		dump, err := admin.Dump(context.Background(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s = %s\n", key, dump)
	}
	return b.String(), len(all)
}

// silent fails for each line of a text that tells what is hidden.
func silent(t *testing.T, where, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		for _, hidden := range []string{hiddenMark, hiddenAddress, hiddenSecret} {
			if strings.Contains(line, hidden) {
				t.Errorf("%s tells %s: %.300s", where, hidden, line)
			}
		}
	}
}

func TestKeys_WhoReadsRedisTheLogOrMetricsLearnsNoValue(t *testing.T) {
	redis := partstest.Redis(t, parts.RedisServer, "--rdbcompression", "no") // which DUMP would do too
	said := heard(t, redis.Addr)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(hiddenSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rules := fmt.Sprintf(hiddenRules, secret)
	shared := func(s *config.Settings) {
		s.Store, s.RedisURL, s.StoreTimeout = config.StoreRedis, config.RedisURL(redis.URL), time.Second
		s.EventsStream, s.Leases = "events", true
	}
	one, other := start(t, rules, shared), start(t, rules, shared)
	ask := func(r *replica, text string, limit *ratelimit.RateLimitDescriptor_RateLimitOverride) rls.RateLimitResponse_Code {
		t.Helper()
		answer, err := r.call(asks(t, limit, text))
		if err != nil {
			t.Fatal(err)
		}
		return answer.OverallCode
	}
	for i, want := range []rls.RateLimitResponse_Code{1, 1, 2} { // one bucket, on two replicas
		if got := ask([]*replica{one, other}[i%2], "user=s3cr3t-alice tenant=s3cr3t-t", nil); got != want {
			t.Fatalf("call %d: %v, want %v", i, got, want)
		}
	}
	for _, text := range []string{
		"api_key=s3cr3t-stated", "drawer=s3cr3t-a tenant=s3cr3t-t", "drawer=s3cr3t-b tenant=s3cr3t-t", "at-once=s3cr3t-o", "service=s3cr3t-s",
		"waiter=s3cr3t-w", "ip=" + hiddenAddress, "nobody=s3cr3t-n", "user=" + strings.Repeat("s3cr3t-", 100),
	} {
		for range 3 { // also what is refused
			ask(one, text, nil)
		}
	}
	for range 3 {
		ask(one, "any=s3cr3t-x", &ratelimit.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 1, Unit: typev3.RateLimitUnit_HOUR})
	}
	for range 1500 { // which a replica takes ahead for
		ask(one, "hot=s3cr3t-h", nil)
	}
	status, level := one.get("/api/v1/buckets?domain=d&entry=user=s3cr3t-alice")
	if status != 200 || !strings.Contains(level, `"limit":"per-user"`) || !strings.Contains(level, `"remaining":0`) {
		t.Errorf("%d of the bucket of who is named: %s", status, level)
	}
	silent(t, "the level of a bucket", level)
	for _, page := range []string{"/metrics", "/rules", "/api/v1/limits", "/api/v1/pools", "/api/v1/domains"} {
		_, text := one.get(page)
		silent(t, page, text)
	}
	_, text := one.get("/api/v1/traffic")
	silent(t, "the live view", text)
	var view traffic.Overview
	if err := json.Unmarshal([]byte(text), &view); err != nil || len(view.Limits) < 9 {
		t.Errorf("%d limits are followed, %v", len(view.Limits), err)
	}
	for _, l := range view.Limits {
		if status, text = one.get("/api/v1/traffic/limits/" + url.PathEscape(l.Limit) + "?domain=d"); status != 200 {
			t.Errorf("%d of %s", status, l.Limit)
		}
		silent(t, "the live view of "+l.Limit, text)
	}
	if _, text = one.get("/api/v1/traffic/limits/per-user"); !strings.Contains(text, `"text":"user=hmac:`) || !strings.Contains(text, `"hidden":true`) {
		t.Errorf("the keys of a limit: %s", text)
	}
	partstest.Eventually(t, 5*time.Second, "what is refused is an event in the log and the stream", func() bool {
		return strings.Contains(one.log.String(), `"hmac:`) && strings.Contains(said.String(), `hmac:`)
	})
	held, keys := stored(t, redis)
	if silent(t, "a key of Redis", held); keys < 12 || !strings.Contains(held, "user=$") {
		t.Errorf("%d keys are too few:\n%s", keys, held)
	}
	redis.Stop()
	ask(one, "user=s3cr3t-alice", nil)
	ask(other, "ip="+hiddenAddress, nil)
	silent(t, "a command to Redis", said.String())
	silent(t, "the log", one.log.String()+other.log.String())
	if !strings.Contains(one.log.String(), "store fails") {
		t.Error("the log does not tell that the store fails")
	}
}
