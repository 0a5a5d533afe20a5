package ratelimit_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	rules "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// The files blackbox_*_test.go look at the program from outside only: gRPC, HTTP, what it
// sends. What the reference service's own tests show of it is shown here by
//
//	its integration tests
//	  unknown domain, one limit, over after 20, two descriptors,
//	  statistics of both and of the local cache, reset falls    TestStory
//	  single, per second, TLS, auth, cluster, sentinel, prefix  TestStory, and each form by itself in backend/
//	  STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT                   TestSettings_Limits
//	  rules from a control plane, and their reload              TestStory, TestSettings_ControlPlane, and ads/
//	  reload of files: one is added, one removed                TestSettings_RuleFilesFollowWhatIsWatched, and sources/
//	  mutual TLS, a certificate that is replaced                TestTLS_*
//	  extra tags                                                TestSettings_Statsd, and stats/
//	  share_threshold                                           TestExamples
//	  memcached                                                 refused: settings/
//	its unit tests
//	  of rules: limits found, names, what is refused            TestExamples, TestRefused, and descriptors/
//	  of the service: headers, quotas, shadow, metadata         decide/answer_test.go
//	  of /json, and of the metadata's form                      decide/json_test.go, TestAnswer_Metadata
//	its scripts with Envoy                                      e2e/dropin_test.go

// story are the rules of the reference's integration tests.
var story = map[string]string{
	"basic.yaml": "domain: basic\ndescriptors:\n  - key: key1\n    rate_limit: {unit: second, requests_per_unit: 50}\n",
	"another.yaml": `domain: another
descriptors:
  - key: key2
    rate_limit: {unit: minute, requests_per_unit: 20}
  - key: key3
    rate_limit: {unit: hour, requests_per_unit: 10}
  - key: key4
    rate_limit: {unit: day, requests_per_unit: 20}
`,
}

// storyOfThePlane are the same as a control plane sends them.
var storyOfThePlane = []*rules.RateLimitConfig{
	{Name: "basic", Domain: "basic", Descriptors: []*rules.RateLimitDescriptor{limitOf("key1", rules.RateLimitUnit_SECOND, 50)}},
	{Name: "another", Domain: "another", Descriptors: []*rules.RateLimitDescriptor{
		limitOf("key2", rules.RateLimitUnit_MINUTE, 20), limitOf("key3", rules.RateLimitUnit_HOUR, 10), limitOf("key4", rules.RateLimitUnit_DAY, 20),
	}},
}

func limitOf(key string, unit rules.RateLimitUnit, n uint32) *rules.RateLimitDescriptor {
	return &rules.RateLimitDescriptor{Key: key, RateLimit: &rules.RateLimitPolicy{Unit: unit, RequestsPerUnit: n}}
}

// treeOf is a RUNTIME_ROOT with rule files by their names.
func treeOf(t *testing.T, files map[string]string) string {
	t.Helper()
	root := tree(t, "")
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, "config", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// client asks over one connection.
func (r *replica) client() rls.RateLimitServiceClient {
	r.t.Helper()
	return rls.NewRateLimitServiceClient(r.connect(insecure.NewCredentials()))
}

// says asks, and expects the answer in the words of [inWords].
func (r *replica) says(c rls.RateLimitServiceClient, asked *rls.RateLimitRequest, want string) {
	r.t.Helper()
	answer, err := c.ShouldRateLimit(r.t.Context(), asked)
	if got := inWords(answer); err != nil || got != want {
		r.t.Errorf("%v: %s, %v; want %s", protojson.Format(asked), got, err, want)
	}
}

// counted is what /stats tells, by dotted names.
func (r *replica) counted() map[string]uint64 {
	r.t.Helper()
	_, _, text := get(r.t, http.MethodGet, r.DebugAddr(), "/stats", "")
	_, line, found := strings.Cut(text, "\nratelimit: ")
	counted := map[string]uint64{}
	if err := json.Unmarshal([]byte(line), &counted); !found || err != nil {
		r.t.Fatalf("/stats: %v: %.300s", err, text)
	}
	return counted
}

// counts expects numbers of /stats below a beginning of their names; one that is not there is 0.
func (r *replica) counts(beginning string, want map[string]uint64) {
	r.t.Helper()
	counted := r.counted()
	for name, n := range want {
		if got := counted[beginning+name]; got != n {
			r.t.Errorf("%s%s is %d, want %d", beginning, name, got, n)
		}
	}
}

// roomInMinute waits until a minute has some seconds left, as counts of one would be divided.
func roomInMinute() {
	if now := time.Now(); now.Second() >= 55 {
		time.Sleep(time.Until(now.Truncate(time.Minute).Add(time.Minute)))
	}
}

// tell has the story of the reference's integration tests happen.
func (r *replica) tell(cached bool) {
	c := r.client()
	r.says(c, request("foo", "hello=world", 0), "OK: OK")
	r.says(c, request("basic", "key1=foo", 0), "OK: OK 49 of 50 per SECOND")
	roomInMinute()
	for i := range 25 {
		want := fmt.Sprintf("OK: OK %d of 20 per MINUTE", 19-i)
		if i >= 20 {
			want = "OVER_LIMIT: OVER_LIMIT 0 of 20 per MINUTE"
		}
		r.says(c, request("another", "key2=a", 0), want)
	}
	for i := range 15 {
		want := fmt.Sprintf("OK: OK %d of 20 per MINUTE | OK %d of 10 per HOUR", 19-i, 9-i)
		if i >= 10 {
			want = fmt.Sprintf("OVER_LIMIT: OK %d of 20 per MINUTE | OVER_LIMIT 0 of 10 per HOUR", 19-i)
		}
		r.says(c, request("another", "key2=b | key3=b", 0), want)
	}
	fromCache := uint64(0)
	if cached {
		fromCache = 4 // the first that is over is not known to be
		r.counts("ratelimit.localcache.", map[string]uint64{"hitCount": 8, "missCount": 1 + 21 + 15 + 11, "lookupCount": 56, "entryCount": 2})
	}
	r.counts("ratelimit.service.rate_limit.", map[string]uint64{
		"foo.domain_not_found": 1, "basic.key1.total_hits": 1,
		"another.key2.total_hits": 40, "another.key2.within_limit": 35, "another.key2.near_limit": 4, "another.key2.over_limit": 5, "another.key2.over_limit_with_local_cache": fromCache,
		"another.key3.total_hits": 15, "another.key3.within_limit": 10, "another.key3.near_limit": 2, "another.key3.over_limit": 5, "another.key3.over_limit_with_local_cache": fromCache,
	})
}

// form is a way to Redis, or to rules.
type form struct {
	name    string
	environ []string
	after   func() // looks at what the story has left behind
}

// redisForms are the ways to Redis that the reference is tested on.
func redisForms(t *testing.T) []form {
	t.Helper()
	redis := func(kind, url string, more ...string) []string {
		return append([]string{"BACKEND_TYPE=redis", "REDIS_SOCKET_TYPE=tcp", "REDIS_TYPE=" + kind, "REDIS_URL=" + url}, more...)
	}
	single, second := partstest.Redis(t, parts.RedisServer), partstest.Redis(t, parts.ValkeyServer)
	locked := partstest.Redis(t, parts.RedisServer)
	secure := partstest.NewSecureRedis(t, "elsewhere")
	address, arguments := secure.Port()
	secured := partstest.Redis(t, parts.RedisServer, arguments...)
	nodes := partstest.Cluster(t, parts.ValkeyServer, 3, 0)
	_, _, sentinel := partstest.Sentinel(t, parts.RedisServer, "mymaster")
	for _, server := range []*parts.Redis{locked, secured, sentinel} {
		if err := partstest.Admin(t, server).Do(t.Context(), "acl", "setuser", "default", "resetpass", ">password123").Err(); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "auth")
	if err := os.WriteFile(file, []byte("password123\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []form{
		{"single, and a prefix", redis("SINGLE", single.Addr, "CACHE_KEY_PREFIX=prefix:"), func() {
			keys := partstest.Admin(t, single).Keys(t.Context(), "*").Val()
			if ours := partstest.Admin(t, single).Keys(t.Context(), "*prefix:*").Val(); len(ours) < 3 || len(ours) != len(keys) {
				t.Errorf("the keys are %q, want the prefix in all", keys)
			}
		}},
		{"per second", redis("single", locked.Addr, "REDIS_AUTH=password123", "REDIS_PERSECOND=true", "REDIS_PERSECOND_SOCKET_TYPE=tcp", "REDIS_PERSECOND_URL="+second.Addr), func() {
			// A key of a second is gone soon, but its server has been asked.
			if info := partstest.Admin(t, second).Info(t.Context(), "commandstats").Val(); !strings.Contains(info, "cmdstat_eval") {
				t.Errorf("the Redis for limits by the second was not asked: %s", info)
			}
		}},
		{"auth", redis("SINGLE", locked.Addr, "REDIS_AUTH=password123", "CACHE_KEY_PREFIX=auth:"), nil},
		{"TLS", redis("SINGLE", address, "REDIS_AUTH_FILE="+file, "REDIS_TLS=true", "REDIS_TLS_SKIP_HOSTNAME_VERIFICATION=true",
			"REDIS_TLS_CACERT="+secure.CA, "REDIS_TLS_CLIENT_CERT="+secure.Cert, "REDIS_TLS_CLIENT_KEY="+secure.Key), nil},
		{"cluster", redis("cluster", nodes[0].Addr+","+nodes[1].Addr+","+nodes[2].Addr), nil},
		{"sentinel", redis("sentinel", "mymaster,"+sentinel.Addr, "REDIS_SENTINEL_AUTH=password123", "REDIS_PERSECOND=true", "REDIS_PERSECOND_TYPE=sentinel",
			"REDIS_PERSECOND_URL=mymaster,"+sentinel.Addr, "REDIS_PERSECOND_SENTINEL_AUTH=password123", "REDIS_PERSECOND_POOL_SIZE=3"), nil},
	}
}

// One story on each form of Redis and each source of rules, with the local cache in turn.
func TestStory_IsTheSameOnEachFormOfRedisAndOfRules(t *testing.T) {
	t.Parallel()
	files := treeOf(t, story)
	plane, ofPlane := controlPlane(t)
	plane.Set("1", storyOfThePlane...)
	all := append(redisForms(t),
		form{"memory", nil, nil},
		form{"the directory watched", []string{"RUNTIME_WATCH_ROOT=false"}, nil},
		form{"a control plane", ofPlane, nil},
	)
	for i, f := range all {
		t.Run(f.name, func(t *testing.T) {
			cached := i%2 == 1
			if cached {
				f.environ = append(f.environ, "LOCAL_CACHE_SIZE_IN_BYTES=100000")
			}
			r := start(t, append(environ(files), f.environ...)...)
			partstest.Eventually(t, 10*time.Second, "it is healthy", func() bool { return r.serving("ratelimit") == serves })
			r.tell(cached)
			if f.after != nil {
				f.after()
			}
		})
	}
}

// The seconds until a limit begins anew become fewer.
func TestStory_DurationUntilResetFalls(t *testing.T) {
	t.Parallel()
	r := start(t, environ(treeOf(t, story))...)
	c := r.client()
	left := func() int64 {
		answer, err := c.ShouldRateLimit(t.Context(), request("another", "key4=a", 0))
		if err != nil {
			t.Fatal(err)
		}
		return answer.Statuses[0].DurationUntilReset.GetSeconds()
	}
	// The window of a day ends at midnight, UTC.
	for first, began := left(), time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if now := left(); now != first {
			if midnight := int64(24*60*60) - time.Now().Unix()%(24*60*60); now != first-1 || now < midnight-1 || now > midnight+1 {
				t.Errorf("%d s, then %d s; midnight is in %d s", first, now, midnight)
			}
			return
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("it stays %d s", first)
		}
	}
}

// Replicas with one Redis count together, one that starts anew counts on, and so does a limit
// whose amount or name has changed; one with another unit begins anew.
func TestStory_CountsGoOn(t *testing.T) {
	redis := []string{"BACKEND_TYPE=redis", "REDIS_SOCKET_TYPE=tcp", "REDIS_URL=" + partstest.Redis(t, parts.RedisServer).Addr, "RUNTIME_WATCH_ROOT=false"}
	of := func(limit string) string { return "domain: d\ndescriptors: [{key: k, rate_limit: {" + limit + "}}]\n" }
	root := tree(t, of("unit: day, requests_per_unit: 3"))
	first, second := start(t, environ(root, redis...)...), start(t, environ(root, redis...)...)
	first.says(first.client(), request("d", "k=v", 0), "OK: OK 2 of 3 per DAY")
	second.says(second.client(), request("d", "k=v", 0), "OK: OK 1 of 3 per DAY")
	first.stop()
	if err := first.ended(); err != nil {
		t.Error(err)
	}
	third := start(t, environ(root, redis...)...)
	third.says(third.client(), request("d", "k=v", 0), "OK: OK 0 of 3 per DAY")
	third.says(third.client(), request("d", "k=v", 0), "OVER_LIMIT: OVER_LIMIT 0 of 3 per DAY")
	for _, change := range []struct{ limit, shown, want string }{
		{"name: n, unit: day, requests_per_unit: 10", "unit=DAY requests_per_unit=10", "OK: OK 5 of 10 per DAY"},
		{"unit: hour, requests_per_unit: 10", "unit=HOUR requests_per_unit=10", "OK: OK 9 of 10 per HOUR"},
		{"unit: day, requests_per_unit: 5", "unit=DAY requests_per_unit=5", "OVER_LIMIT: OVER_LIMIT 0 of 5 per DAY"},
	} {
		if err := os.WriteFile(filepath.Join(root, "config", "rules.yaml"), []byte(of(change.limit)), 0o600); err != nil {
			t.Fatal(err)
		}
		partstest.Eventually(t, 10*time.Second, "the reload", func() bool {
			_, _, text := get(t, http.MethodGet, third.DebugAddr(), "/rlconfig", "")
			return strings.Contains(text, change.shown+",")
		})
		third.says(third.client(), request("d", "k=v", 0), change.want)
	}
}
