package app_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// send calls the API and answers its status and body.
func (r *replica) send(method, path, body string) (int, string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.HTTPAddr()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// What is set on one replica is in force on the other within a second, and carries
// what was used; what is undone is as the files state it.
func TestC07_M20_AChangeOnOneReplicaIsInForceOnTheOther(t *testing.T) {
	redis := partstest.Redis(t, parts.RedisServer)
	shared := func(s *config.Settings) {
		s.Store, s.RedisURL, s.StoreTimeout = config.StoreRedis, config.RedisURL(redis.URL), time.Second
	}
	one, other := start(t, oneRule, shared), start(t, oneRule, shared)
	code := func() rls.RateLimitResponse_Code {
		answer, err := other.call(wire("d", "user", "u"))
		if err != nil {
			t.Fatal(err)
		}
		return answer.OverallCode
	}
	for i, want := range []rls.RateLimitResponse_Code{1, 1, 2} {
		if got := code(); got != want {
			t.Fatalf("call %d: %v, want %v", i, got, want)
		}
	}
	if status, body := one.send("PUT", "/api/v1/limits/per-user", `{"rate":"4/hour","author":"ann","reason":"trial"}`); status != 200 {
		t.Fatal(status, body)
	}
	partstest.Eventually(t, time.Second, "the change is in force on the other replica", func() bool { return other.metric(`weir_changes{state="in_force"}`) == 1 })
	for i, want := range []rls.RateLimitResponse_Code{1, 1, 2} {
		if got := code(); got != want {
			t.Errorf("after the change, call %d: %v, want %v: two of four were used", i, got, want)
		}
	}
	if status, body := one.send("DELETE", "/api/v1/limits/per-user", ""); status >= 300 {
		t.Fatal(status, body)
	}
	partstest.Eventually(t, time.Second, "the change is undone on the other replica", func() bool { return other.metric(`weir_changes{state="in_force"}`) == 0 })
	if got := code(); got != 2 {
		t.Errorf("after the change was undone: %v", got)
	}
	partstest.Eventually(t, time.Second, "the change is told", func() bool { return strings.Contains(one.log.String(), `"kind":"limit_undone"`) })
}

// What is set with the memory store outlives the process in its state directory.
func TestM20_AStateDirectoryKeepsWhatIsSet(t *testing.T) {
	dir := t.TempDir()
	kept := func(s *config.Settings) { s.StateDir = dir }
	first := start(t, oneRule, kept)
	if status, body := first.send("PUT", "/api/v1/limits/per-user", `{"rate":"1/hour"}`); status != 200 {
		t.Fatal(status, body)
	}
	first.stop()
	if err := <-first.ended; err != nil {
		t.Fatal(err)
	}
	first.ended <- nil
	second := start(t, oneRule, kept)
	for i, want := range []rls.RateLimitResponse_Code{1, 2} {
		if answer, err := second.call(wire("d", "user", "u")); err != nil || answer.OverallCode != want {
			t.Errorf("call %d: %v, %v; want %v", i, answer.OverallCode, err, want)
		}
	}
}

// A client of the line protocol and one of the API draw from the same bucket.
func TestW10_C19_LinesAndTheAPIShareTheirBuckets(t *testing.T) {
	r := start(t, oneRule, func(s *config.Settings) { s.LineListen = "127.0.0.1:0" })
	if status, body := r.send("PUT", "/api/v1/buckets/partner", `{"rate":"1/h","burst":2}`); status == 200 {
		t.Fatalf("a rate that is none was taken: %s", body)
	}
	if status, body := r.send("PUT", "/api/v1/buckets/partner", `{"rate":"1/hour","burst":2}`); status != 200 {
		t.Fatal(status, body)
	}
	client, err := net.Dial("tcp", r.lineAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	fmt.Fprint(client, "CHECK r1 partner\n")
	if line, err := bufio.NewReader(client).ReadString('\n'); err != nil || line != "r1: AVAILABLE\n" {
		t.Fatalf("%q, %v", line, err)
	}
	for i, want := range []int{200, 429} {
		if status, body := r.send("POST", "/api/v1/check", `{"bucket":"partner","tokens":1}`); status != want {
			t.Errorf("request %d: %d %s, want %d: the line took one of two", i, status, body, want)
		}
	}
}

// lineAddr is read from the line of the log that tells where this replica listens.
func (r *replica) lineAddr() string {
	_, after, _ := strings.Cut(r.log.String(), `"line":"`)
	address, _, _ := strings.Cut(after, `"`)
	return address
}
