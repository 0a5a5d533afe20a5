package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/internal/app"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(partstest.Suite{M: m}) }

// Over a real connection: a header byte that is no UTF-8 is limited like any
// other value, not admitted by way of a failing call.
func TestOneInvalidByteIsNoWayPastALimit(t *testing.T) {
	r := start(t, oneRule, nil)
	for i, want := range []rls.RateLimitResponse_Code{1, 1, 2} {
		answer, err := r.call(wire("d", "user", "\xff"))
		if err != nil || answer.OverallCode != want {
			t.Fatalf("call %d: %v, %v; want %v", i, answer.OverallCode, err, want)
		}
	}
	if answer, err := r.call(wire("d", "user", "\xfe")); err != nil || answer.OverallCode != rls.RateLimitResponse_OK {
		t.Errorf("another invalid value shares the bucket: %v, %v", answer.OverallCode, err)
	}
}

// Whatever bytes arrive as a request, they end in an answer or a status, and the
// replica goes on.
func TestAnyBytesEndInAnAnswerOrAStatus(t *testing.T) {
	r := start(t, oneRule, nil)
	random := rand.New(rand.NewPCG(1, 2))
	good := wire("d", "user", "u")
	answers, statuses := 0, 0
	for range 2000 {
		message := slices.Clone(good)
		for range random.IntN(4) {
			message[random.IntN(len(message))] = byte(random.IntN(256))
		}
		if cut := random.IntN(2 * len(message)); cut < len(message) {
			message = message[:cut]
		}
		switch _, err := r.call(message); status.Code(err) {
		case codes.OK:
			answers++
		case codes.Internal, codes.InvalidArgument:
			statuses++
		default:
			t.Fatalf("%x ended in %v", message, err)
		}
	}
	if answers == 0 || statuses == 0 {
		t.Errorf("%d answers and %d statuses: the messages do not vary", answers, statuses)
	}
	if _, metrics := r.get("/metrics"); !strings.Contains(metrics, "\nweir_panics_total 0\n") {
		t.Error("a handler panicked")
	}
}

func TestAReplicaWithoutRulesIsLiveButNotReady(t *testing.T) {
	r := start(t, "domain: [", nil)
	if code, body := r.get("/readyz"); code != 503 || !strings.Contains(body, r.rules) {
		t.Errorf("/readyz: %d %q, want 503 and where rules are missing", code, body)
	}
	if code, _ := r.get("/healthcheck"); code != 500 {
		t.Errorf("/healthcheck: %d, want the reference's 500", code)
	}
	if code, _ := r.get("/livez"); code != 200 {
		t.Errorf("/livez: %d", code)
	}
	if got := r.serving(); got != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("gRPC health: %v", got)
	}
	r.writeRules(oneRule)
	partstest.Eventually(t, time.Second, "the repaired rules are live", func() bool { code, _ := r.get("/readyz"); return code == 200 })
	partstest.Eventually(t, time.Second, "gRPC health says so", func() bool { return r.serving() == healthpb.HealthCheckResponse_SERVING })
}

func TestABadChangeKeepsTheLastGoodRulesAndIsSeen(t *testing.T) {
	r := start(t, oneRule, nil)
	r.writeRules("domain: d\ndescriptors:\n  - {key: user, limits: [{rate: 2/eon}]}\n")
	partstest.Eventually(t, time.Second, "the fault is counted", func() bool {
		_, metrics := r.get("/metrics")
		return strings.Contains(metrics, "\nweir_rule_faults 1\n") && strings.Contains(metrics, `weir_rule_reloads_total{result="faulty"} 1`)
	})
	if code, _ := r.get("/readyz"); code != 200 {
		t.Errorf("/readyz: %d, though good rules are in force", code)
	}
	for i, want := range []rls.RateLimitResponse_Code{1, 1, 2} {
		if answer, err := r.call(wire("d", "user", "u")); err != nil || answer.OverallCode != want {
			t.Errorf("call %d: %v, %v; want %v", i, answer.OverallCode, err, want)
		}
	}
	partstest.Eventually(t, time.Second, "the log names the place", func() bool { return strings.Contains(r.log.String(), `"line":3,"column":33`) })
}

// A good change is live within a second, and carries the tokens used.
func TestAGoodChangeIsLiveAndCarriesTheTokensUsed(t *testing.T) {
	r := start(t, oneRule, nil)
	for range 2 {
		if _, err := r.call(wire("d", "user", "u")); err != nil {
			t.Fatal(err)
		}
	}
	r.writeRules(strings.Replace(oneRule, "2/hour", "3/hour", 1))
	partstest.Eventually(t, time.Second, "the third token", func() bool {
		answer, err := r.call(wire("d", "user", "u"))
		return err == nil && answer.OverallCode == rls.RateLimitResponse_OK
	})
	if answer, err := r.call(wire("d", "user", "u")); err != nil || answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT {
		t.Errorf("the change handed out a fresh burst: %v, %v", answer, err)
	}
}

func TestDrainTellsCallersBeforeItStops(t *testing.T) {
	r := start(t, oneRule, func(s *config.Settings) { s.DrainDelay = 500 * time.Millisecond })
	if got := r.serving(); got != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("gRPC health before: %v", got)
	}
	r.stop()
	partstest.Eventually(t, time.Second, "NOT_SERVING", func() bool { return r.serving() == healthpb.HealthCheckResponse_NOT_SERVING })
	if code, body := r.get("/readyz"); code != 503 || !strings.Contains(body, "draining") {
		t.Errorf("/readyz: %d %q", code, body)
	}
	if _, err := r.call(wire("d", "user", "u")); err != nil {
		t.Errorf("a call within the drain delay failed: %v", err)
	}
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	r.ended <- nil
}

func TestDecisionsAreCounted(t *testing.T) {
	r := start(t, oneRule, nil)
	for range 3 {
		if _, err := r.call(wire("d", "user", "u")); err != nil {
			t.Fatal(err)
		}
	}
	for _, domain := range []string{"stranger", "another"} {
		if _, err := r.call(wire(domain, "user", "u")); err != nil {
			t.Fatal(err)
		}
	}
	_, metrics := r.get("/metrics")
	for _, line := range []string{
		`weir_decisions_total{domain="d",limit="per-user",outcome="allowed"} 2`,
		`weir_decisions_total{domain="d",limit="per-user",outcome="denied"} 1`,
		`weir_unknown_domain_requests_total 2`,
		`weir_request_duration_seconds_count{result="ok"} 4`,
		`weir_memory_buckets 1`,
	} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
	if strings.Contains(metrics, "stranger") {
		t.Error("a name that a client chose became a label")
	}
}

// A connection to Redis takes several round trips until it can be used. Where
// they take longer together than a caller waits, connections must come to be
// all the same, or every replica would limit alone for ever.
func TestARedisThatIsSlowToConnectIsReached(t *testing.T) {
	slow := partstest.Way(t, partstest.Redis(t, parts.RedisServer).Addr)
	slow.Delay(40 * time.Millisecond)
	r := start(t, oneRule, func(s *config.Settings) {
		s.Store, s.RedisURL, s.StoreTimeout = config.StoreRedis, config.RedisURL("redis://"+slow.Addr+"/1"), 70*time.Millisecond
	})
	partstest.Eventually(t, 10*time.Second, "ten calls at a time that Redis answers", func() bool {
		before := r.metric("weir_store_duration_seconds_count{result=\"ok\"}")
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := r.call(wire("d", "user", "u")); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		return r.metric("weir_store_duration_seconds_count{result=\"ok\"}") == before+10
	})
}

// A store that fails now and then, or a probe that meets one bad key, must not
// fill the log.
func TestAStoreThatFlapsIsTwoLinesNotTwoARequest(t *testing.T) {
	redis := partstest.Redis(t, parts.RedisServer)
	r := start(t, oneRule, func(s *config.Settings) {
		s.Store, s.RedisURL = config.StoreRedis, config.RedisURL(redis.URL)
	})
	bad := goredis.NewClient(&goredis.Options{Addr: redis.Addr})
	defer bad.Close()
	if err := bad.Set(t.Context(), "{d}1:d,4:user=3:bad/n:per-user", "of another program", 0).Err(); err != nil {
		t.Fatal(err)
	}
	lines := func() int {
		return strings.Count(r.log.String(), "\n") - strings.Count(r.log.String(), `"msg":"event"`)
	}
	before := lines()
	for i := range 50 {
		for _, user := range []string{"bad", fmt.Sprint("good", i)} {
			if answer, err := r.call(wire("d", "user", user)); err != nil {
				t.Fatal(answer, err)
			}
		}
	}
	if got := r.metric(`weir_store_errors_total{kind="error"}`); got != 50 {
		t.Fatalf("%v calls failed, want the 50 that met the bad key", got)
	}
	if more := lines() - before; more != 1 {
		t.Errorf("50 failures among 100 calls left %d lines beside events:\n%s", more, r.log)
	}
}

// Calls under way finish before the replica stops; those that take longer than
// the drain may are cut off.
func TestDrainLetsCallsUnderWayFinish(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"in time": 5 * time.Second, "too late": 10 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			silent, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			r := start(t, oneRule, func(s *config.Settings) {
				s.Store, s.RedisURL = config.StoreRedis, config.RedisURL("redis://"+silent.Addr().String())
				s.StoreTimeout, s.DrainTimeout = 500*time.Millisecond, timeout
				s.ReceiptKey = "a key to sign with: none is asked of Redis"
			})
			result := make(chan error, 1)
			go func() {
				_, err := r.call(wire("d", "user", "u"))
				result <- err
			}()
			// What is set was asked for at the start, and is again, with the sizes of
			// pools; the greeting, the heartbeat and the call wait too for a Redis that says
			// nothing.
			for range 6 {
				conn, err := silent.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			r.stop()
			if err := <-result; (err == nil) != (timeout > time.Second) {
				t.Errorf("the call under way ended with %v", err)
			}
			if err := <-r.ended; err != nil {
				t.Error(err)
			}
			r.ended <- nil
		})
	}
}

// A client that watches this replica's health, and a connection that never
// asked anything, must not hold up a drain or make it fail.
func TestIdleConnectionsDoNotHoldUpADrain(t *testing.T) {
	r := start(t, oneRule, func(s *config.Settings) { s.DrainTimeout = time.Minute })
	watch, err := healthpb.NewHealthClient(r.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	idle, err := net.Dial("tcp", r.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("the drain ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the drain waits for a health watcher")
	}
	r.ended <- nil
}

// Logs are one JSON object an event, and none a request.
func TestTheLogIsOneLineAnEvent(t *testing.T) {
	r := start(t, oneRule, nil)
	for i := range 20 {
		if _, err := r.call(wire("d", "user", fmt.Sprint("u\n", i))); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(r.log.String()), "\n")
	if len(lines) > 3 {
		t.Errorf("20 requests left %d lines:\n%s", len(lines), r.log)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

// A wrong address of Redis is in the log at once, without its password, and the
// replica serves all the same.
func TestAnAbsentRedisIsToldAtTheStartAndServedWithout(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	r := start(t, oneRule, func(s *config.Settings) {
		s.Store = config.StoreRedis
		s.RedisURL = config.RedisURL("redis://user:hush@" + nobody.Addr().String())
	})
	partstest.Eventually(t, 5*time.Second, "the warning", func() bool {
		return strings.Contains(r.log.String(), `"level":"WARN","msg":"the bucket store does not answer`)
	})
	for i, want := range []rls.RateLimitResponse_Code{1, 1, 2} {
		if answer, err := r.call(wire("d", "user", "u")); err != nil || answer.OverallCode != want {
			t.Errorf("call %d: %v, %v; want %v, judged in memory", i, answer.OverallCode, err, want)
		}
	}
	_, metrics := r.get("/metrics")
	if !strings.Contains(metrics, `weir_store_errors_total{kind="error"} 3`) {
		t.Error("the failed calls are not counted")
	}
	if strings.Contains(r.log.String(), "hush") {
		t.Error("the log tells the password")
	}
	if n := strings.Count(r.log.String(), "on_store_error"); n > 2 {
		t.Errorf("three failed calls left %d lines", n)
	}
}

func TestATakenPortIsNamedWithItsFlag(t *testing.T) {
	r := start(t, oneRule, nil)
	_, err := app.New(config.Settings{Rules: r.rules, GRPCListen: r.GRPCAddr(), HTTPListen: "127.0.0.1:0"},
		app.Options{Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "--grpc-listen") || !strings.Contains(err.Error(), r.GRPCAddr()) {
		t.Errorf("got %v, want the port and the flag", err)
	}
}

// gRPC connections live long, so without an age a new replica would see no
// caller: when a connection is old enough, its client is told to come anew.
func TestAnOldConnectionIsReplaced(t *testing.T) {
	r := start(t, oneRule, func(s *config.Settings) { s.GRPCMaxConnectionAge = 200 * time.Millisecond })
	r.serving()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	// A call may be answered a moment before its connection is called ready.
	for state := r.conn.GetState(); state != connectivity.Ready; state = r.conn.GetState() {
		if !r.conn.WaitForStateChange(ctx, state) {
			t.Fatalf("the connection is %v after a call", state)
		}
	}
	if !r.conn.WaitForStateChange(ctx, connectivity.Ready) {
		t.Error("the connection is still the first one")
	}
	if _, err := r.call(wire("d", "user", "u")); err != nil {
		t.Errorf("the next call failed: %v", err)
	}
}

func TestReflectionIsASetting(t *testing.T) {
	for _, on := range []bool{false, true} {
		r := start(t, oneRule, func(s *config.Settings) { s.GRPCReflection = on })
		stream, err := reflectionpb.NewServerReflectionClient(r.conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		list := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
		if err := stream.Send(list); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if !on && status.Code(err) != codes.Unimplemented {
			t.Errorf("off: %v, %v", answer, err)
		}
		if on && !strings.Contains(answer.String(), "envoy.service.ratelimit.v3.RateLimitService") {
			t.Errorf("on: %v, %v", answer, err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
	}
}
