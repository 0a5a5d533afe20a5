package ratelimit_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	rules "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// modes are rules of each mode.
const modes = `domain: d
descriptors:
  - key: few
    rate_limit: {unit: day, requests_per_unit: 2}
    metadata: {about: few}
  - key: many
    rate_limit: {unit: day, requests_per_unit: 10}
`

// Each setting of what a decision is changes an answer or a number.
func TestSettings_Limits(t *testing.T) {
	const few, both = "few=a", "few=a | many=a"
	for name, c := range map[string]struct {
		environ string
		asks    []ask
		counts  map[string]uint64
	}{
		"no mode": {"", []ask{
			{2, both, "OK: OK 0 of 2 per DAY | OK 8 of 10 per DAY", ""},
			{0, both, "OVER_LIMIT: OVER_LIMIT 0 of 2 per DAY | OK 7 of 10 per DAY", ""},
			{0, both, "OVER_LIMIT: OVER_LIMIT 0 of 2 per DAY | OK 6 of 10 per DAY", ""},
		}, map[string]uint64{"rate_limit.d.many.near_limit": 0, "rate_limit.d.few.over_limit": 2, "rate_limit.d.few.over_limit_with_local_cache": 0}},
		"NEAR_LIMIT_RATIO": {"NEAR_LIMIT_RATIO=0.1", []ask{{2, both, "OK: OK 0 of 2 per DAY | OK 8 of 10 per DAY", ""}}, map[string]uint64{"rate_limit.d.many.near_limit": 1}},
		"SHADOW_MODE": {"SHADOW_MODE=true", []ask{
			{3, few, "OK: OVER_LIMIT 0 of 2 per DAY", ""},
		}, map[string]uint64{"global_shadow_mode": 1, "rate_limit.d.few.over_limit": 1}},
		"QUOTA_MODE": {"QUOTA_MODE=true", []ask{
			{3, both, "OK: OVER_LIMIT 0 of 2 per DAY | OK 7 of 10 per DAY", ""},
			{8, both, "OVER_LIMIT: OVER_LIMIT 0 of 2 per DAY | OVER_LIMIT 0 of 10 per DAY", ""},
			{0, "few=a | other=x", "OK: OVER_LIMIT 0 of 2 per DAY | OK", ""},
		}, nil},
		"STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT": {"STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT=true", []ask{
			{2, both, "OK: OK 0 of 2 per DAY | OK 8 of 10 per DAY", ""},
			{0, both, "OVER_LIMIT: OVER_LIMIT 0 of 2 per DAY | OK 8 of 10 per DAY", ""},
			{0, both, "OVER_LIMIT: OVER_LIMIT 0 of 2 per DAY | OK 8 of 10 per DAY", ""},
		}, map[string]uint64{"rate_limit.d.few.over_limit": 2, "rate_limit.d.many.total_hits": 4}},
		"LOCAL_CACHE_SIZE_IN_BYTES": {"LOCAL_CACHE_SIZE_IN_BYTES=1000", []ask{
			{3, few, "OVER_LIMIT: OVER_LIMIT 0 of 2 per DAY", ""},
			{0, few, "OVER_LIMIT: OVER_LIMIT 0 of 2 per DAY", ""},
		}, map[string]uint64{"rate_limit.d.few.over_limit": 2, "rate_limit.d.few.over_limit_with_local_cache": 1}},
		"WEIR_MEMORY_MAX_BUCKETS": {"WEIR_MEMORY_MAX_BUCKETS=1", []ask{
			{0, few, "OK: OK 1 of 2 per DAY", ""},
			{0, "few=b", "OK: OK 1 of 2 per DAY", ""},
			{0, "few=c", "OK: OK 0 of 2 per DAY", ""}, // shares what is left for all
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, environ(tree(t, modes), strings.Fields(c.environ)...)...)
			client := r.client()
			for _, a := range c.asks {
				r.says(client, request("d", a.ask, a.hits), a.want)
			}
			r.counts("ratelimit.service.", c.counts)
		})
	}
}

func TestSettings_HeadersAndMetadata(t *testing.T) {
	headers := func(r *replica) string {
		answer, err := r.client().ShouldRateLimit(t.Context(), request("d", "many=a", 0))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, h := range answer.ResponseHeadersToAdd {
			value := h.Value
			if value == fmt.Sprint(answer.Statuses[0].DurationUntilReset.GetSeconds()) {
				value = "RESET"
			}
			all = append(all, h.Key+"="+value)
		}
		if about := answer.DynamicMetadata.GetFields()["domain"].GetStringValue(); about != "" {
			all = append(all, "metadata of "+about)
		}
		return strings.Join(all, " ")
	}
	for given, want := range map[string]string{
		"":                                    "",
		"LIMIT_RESPONSE_HEADERS_ENABLED=true": "RateLimit-Limit=10 RateLimit-Remaining=9 RateLimit-Reset=RESET",
		"LIMIT_RESPONSE_HEADERS_ENABLED=true LIMIT_LIMIT_HEADER=L LIMIT_REMAINING_HEADER=R LIMIT_RESET_HEADER=X-Reset": "L=10 R=9 X-Reset=RESET",
		"LIMIT_LIMIT_HEADER=L":           "",
		"RESPONSE_DYNAMIC_METADATA=true": "metadata of d",
	} {
		if got := headers(start(t, environ(tree(t, modes), strings.Fields(given)...)...)); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}

// lookup is /rlconfig in short: the limits in force.
func (r *replica) lookup() string {
	_, _, text := get(r.t, "GET", r.DebugAddr(), "/rlconfig", "")
	var keys []string
	for line := range strings.Lines(text) {
		key, _, _ := strings.Cut(line, ": ")
		keys = append(keys, key)
	}
	return strings.Join(keys, " ")
}

func ruleOf(domain, key string) string {
	return "domain: " + domain + "\ndescriptors: [{key: " + key + ", rate_limit: {unit: day, requests_per_unit: 1}}]\n"
}

func TestSettings_RuleFiles(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"config/a.yaml": ruleOf("a", "k"), "config/.hidden": ruleOf("hidden", "k"), "sub/config/b.yaml": ruleOf("b", "k"), "sub/app/c": ruleOf("c", "k"),
		"twice/config/1.yaml": ruleOf("d", "k"), "twice/config/2.yaml": ruleOf("d", "l"), "faulty/config/1.yaml": ruleOf("d", "k"), "faulty/config/2.yaml": "domain: e\nnonsense: 1\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for given, want := range map[string]string{
		"":                            "a.k hidden.k",
		"RUNTIME_IGNOREDOTFILES=true": "a.k",
		"RUNTIME_SUBDIRECTORY=sub":    "b.k",
		"RUNTIME_SUBDIRECTORY=sub RUNTIME_APPDIRECTORY=app":        "c.k",
		"RUNTIME_APPDIRECTORY=sub/config RUNTIME_WATCH_ROOT=false": "b.k",
		"RUNTIME_SUBDIRECTORY=twice MERGE_DOMAIN_CONFIG=true":      "d.k d.l",
		"RUNTIME_SUBDIRECTORY=faulty":                              "d.k",
		"RUNTIME_SUBDIRECTORY=faulty WEIR_ALL_OR_NOTHING=true":     "",
	} {
		if got := start(t, environ(root, strings.Fields(given)...)...).lookup(); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}

// A file that is added counts, and one that is removed does not any more: at once where the
// directory is watched, with the swap where the root is.
func TestSettings_RuleFilesFollowWhatIsWatched(t *testing.T) {
	change := func(root string) {
		if err := os.WriteFile(filepath.Join(root, "config", "more.yaml"), []byte(ruleOf("more", "k")), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(root, "config", "basic.yaml")); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{"basic.yaml": ruleOf("basic", "key1"), "stays.yaml": ruleOf("stays", "k")}
	watched := treeOf(t, files)
	r := start(t, environ(watched, "RUNTIME_WATCH_ROOT=false")...)
	change(watched)
	partstest.Eventually(t, 10*time.Second, "the directory's change", func() bool { return r.lookup() == "more.k stays.k" })

	before, after, link := treeOf(t, files), treeOf(t, files), filepath.Join(t.TempDir(), "current")
	change(after)
	if err := os.Symlink(before, link); err != nil {
		t.Fatal(err)
	}
	r = start(t, environ(link)...)
	if got := r.lookup(); got != "basic.key1 stays.k" {
		t.Errorf("before the swap: %s", got)
	}
	if err := os.Symlink(after, link+".next"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".next", link); err != nil {
		t.Fatal(err)
	}
	partstest.Eventually(t, 10*time.Second, "the swap", func() bool { return r.lookup() == "more.k stays.k" })
	r.counts("ratelimit.service.", map[string]uint64{"config_load_success": 2, "config_load_error": 0})
}

// What a control plane's connection is like, seen where it breaks.
func TestSettings_ControlPlane(t *testing.T) {
	t.Parallel()
	plane, env := controlPlane(t, "XDS_CLIENT_BACKOFF_INITIAL_INTERVAL=40ms", "XDS_CLIENT_BACKOFF_MAX_INTERVAL=70ms", "XDS_CLIENT_BACKOFF_JITTER=false",
		"CONFIG_GRPC_XDS_SERVER_CONNECT_RETRY_INTERVAL=130ms", "XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES=2000")
	plane.Set("1", twoAMinute)
	r := start(t, env...)
	plane.Set("2", storyOfThePlane...)
	plane.Answered("2", false)
	if got := r.lookup(); got != "another.key2 another.key3 another.key4 basic.key1" {
		t.Errorf("after the reload: %s", got)
	}
	unitless := proto.CloneOf(twoAMinute)
	unitless.Descriptors[0].RateLimit.Unit = rules.RateLimitUnit_UNKNOWN
	plane.Set("2.1", unitless)
	if detail := plane.Answered("2", true).ErrorDetail.GetMessage(); !strings.Contains(detail, "user") {
		t.Errorf("a limit without unit is rejected with %q", detail)
	}
	plane.Set("2.2", storyOfThePlane...)
	plane.Answered("2.2", false)
	r.counts("ratelimit.service.", map[string]uint64{"config_load_error": 1})
	large := proto.CloneOf(twoAMinute)
	large.Descriptors[0].Value = strings.Repeat("x", 3000)
	plane.Set("3", large)
	partstest.Eventually(t, 10*time.Second, "the pauses after a response that is too large", func() bool {
		log := r.log.String()
		return strings.Contains(log, "retry_in=40ms remedy=\"raise XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES") && strings.Contains(log, "retry_in=70ms")
	})
	plane.Stop()
	partstest.Eventually(t, 10*time.Second, "the pause where nobody listens", func() bool { return strings.Contains(r.log.String(), "retry_in=130ms") })
	if got := r.lookup(); got != "another.key2 another.key3 another.key4 basic.key1" {
		t.Errorf("without the control plane: %s", got)
	}
	_, env = controlPlane(t, "XDS_CLIENT_BACKOFF_RANDOM_FACTOR=1", "CONFIG_GRPC_XDS_SERVER_URL="+closedPort(t), "CONFIG_GRPC_XDS_SERVER_CONNECT_RETRY_INTERVAL=50ms", "FORCE_START_WITHOUT_INITIAL_CONFIG=true")
	r = start(t, env...)
	partstest.Eventually(t, 10*time.Second, "pauses by chance", func() bool {
		log := r.log.String()
		return strings.Contains(log, "retry_in=") && strings.Count(log, "retry_in=") > strings.Count(log, "retry_in=50ms")
	})
}

// A connection of some age is ended, and what goes on then has the grace; gRPC then waits
// for a second more.
func TestSettings_AgeOfConnections(t *testing.T) {
	t.Parallel()
	for given, ends := range map[string]bool{
		"GRPC_MAX_CONNECTION_AGE=20ms GRPC_MAX_CONNECTION_AGE_GRACE=20ms": true,
		"GRPC_MAX_CONNECTION_AGE=20ms GRPC_MAX_CONNECTION_AGE_GRACE=0":    false,
		"GRPC_MAX_CONNECTION_AGE=0 GRPC_MAX_CONNECTION_AGE_GRACE=20ms":    false,
	} {
		t.Run(given, func(t *testing.T) {
			t.Parallel()
			r := start(t, environ(tree(t, perMinute), append(strings.Fields(given), "WEIR_DRAIN_TIMEOUT=0s")...)...)
			call := silent(t, r.connect(insecure.NewCredentials()))
			failed := make(chan error, 1)
			go func() { failed <- call.RecvMsg(&rls.RateLimitResponse{}) }()
			enough := 1200 * time.Millisecond
			if ends {
				enough = 10 * time.Second
			}
			select {
			case err := <-failed:
				if !ends || status.Code(err) != codes.Unavailable {
					t.Errorf("a call that goes on ended with %v", err)
				}
			case <-time.After(enough):
				if ends {
					t.Error("a call goes on")
				}
			}
		})
	}
}

// Each variable that has an effect is set in a test of the whole program, here or in a file
// beside this one, so that none is read and forgotten.
func TestSettings_EachIsTriedThroughTheProgram(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/drop-in.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests = append(tests, text...)
	}
	tried := 0
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z_0-9]+)` .*$").FindAllSubmatch(page, -1) {
		if bytes.Contains(row[0], []byte("Has no effect")) {
			continue
		}
		tried++
		if name := string(row[1]); !regexp.MustCompile(`\b` + name + `=|"` + name + `":`).Match(tests) {
			t.Errorf("no test sets %s", name)
		}
	}
	if tried < 90 {
		t.Errorf("the page has %d variables that have an effect", tried)
	}
}

func TestSettings_Tracing(t *testing.T) {
	c := partstest.NewCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+c.Addr)
	for _, rate := range []string{"0", "1"} {
		r := start(t, environ(tree(t, perMinute), "TRACING_ENABLED=true", "TRACING_EXPORTER_PROTOCOL=grpc", "TRACING_SERVICE_NAMESPACE=n", "TRACING_SERVICE_INSTANCE_ID=i", "TRACING_SAMPLING_RATE="+rate)...)
		if _, err := r.ask(insecure.NewCredentials()); err != nil {
			t.Fatal(err)
		}
		r.stop()
		if err := r.ended(); err != nil {
			t.Error(err)
		}
		if got := len(c.Spans()); fmt.Sprint(got) != rate {
			t.Errorf("with a rate of %s there are %d spans", rate, got)
		}
	}
	if s := c.Spans(); len(s) == 1 && (s[0].Service != "RateLimit" || s[0].Resource("service.namespace") != "n" || s[0].Resource("service.instance.id") != "i") {
		t.Errorf("the service is %q, %q, %q", s[0].Service, s[0].Resource("service.namespace"), s[0].Resource("service.instance.id"))
	}
}
