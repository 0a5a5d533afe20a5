package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/limiter"
)

// One call a second and ten at once for each user, in this program's memory.
func Example() {
	limits, err := limiter.New(limiter.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer limits.Close()

	allowed, err := limits.Allow(context.Background(), "user:7")
	if err != nil {
		log.Fatal(err)
	}
	if !allowed {
		fmt.Println("come back later")
		return
	}
	fmt.Println("hello")
	// Output: hello
}

// Two processes on one Redis or Valkey share their buckets.
func Example_redis() {
	url, stop := startRedis() // such as redis://user:password@redis.internal:6379/0
	defer stop()

	for process := range 2 {
		limits, err := limiter.New(limiter.Options{
			RedisURL:     url,
			OnStoreError: limiter.RefuseAll,
			StoreFailed:  func(err error) { log.Print(err) },
		})
		if err != nil {
			log.Fatal(err)
		}
		defer limits.Close()

		for range 2 {
			allowed, err := limits.Allow(context.Background(), "user:7", limiter.WithCapacity(3), limiter.WithRatePer(3, time.Hour))
			fmt.Println("process", process, allowed, err)
		}
	}
	// Output:
	// process 0 true <nil>
	// process 0 true <nil>
	// process 1 true <nil>
	// process 1 false <nil>
}

// A call that uses 500 of the 1,200 tokens that a user has each minute.
func ExampleLimiter_Allow() {
	limits, err := limiter.New(limiter.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer limits.Close()

	for range 3 {
		allowed, err := limits.Allow(context.Background(), "tokens user:7",
			limiter.WithCapacity(1200), limiter.WithRatePer(1200, time.Minute), limiter.WithRequested(500))
		fmt.Println(allowed, err)
	}
	// Output:
	// true <nil>
	// true <nil>
	// false <nil>
}

func ExampleLimiter_Decide() {
	limits, err := limiter.New(limiter.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer limits.Close()

	perHour := []limiter.Option{limiter.WithCapacity(2), limiter.WithRatePer(2, time.Hour)}
	for range 3 {
		d, err := limits.Decide(context.Background(), "user:7", perHour...)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(d.Allowed, d.Remaining, d.RetryAfter.Round(time.Minute))
	}
	// Output:
	// true 1 0s
	// true 0 0s
	// false 0 30m0s
}

// Calls to somebody else's API, which allows 100 a second: each waits for its turn,
// at most as long as its context allows.
func ExampleLimiter_Wait() {
	limits, err := limiter.New(limiter.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer limits.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	began := time.Now()
	for range 4 {
		if err := limits.Wait(ctx, "third-party", limiter.WithCapacity(1), limiter.WithRate(100)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("3 turns took at least 30 ms:", time.Since(began) >= 30*time.Millisecond)

	err = limits.Wait(ctx, "third-party", limiter.WithCapacity(1), limiter.WithRatePer(1, time.Hour))
	fmt.Println("an hour is too long:", errors.Is(err, limiter.ErrRefused))
	// Output:
	// 3 turns took at least 30 ms: true
	// an hour is too long: true
}

// A server behind proxies of a network of its own: two limits on each client's
// address, which need keys of their own.
func ExampleLimiter_Handler() {
	limits, err := limiter.New(limiter.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer limits.Close()

	client := limiter.ForwardedFor(netip.MustParsePrefix("10.0.0.0/8"))
	clientAtLogin := func(r *http.Request) string { return "login " + client(r) }
	login := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "welcome") })

	mux := http.NewServeMux()
	mux.Handle("/login", limits.Handler(login, clientAtLogin, limiter.WithCapacity(2), limiter.WithRatePer(2, time.Minute)))
	server := httptest.NewServer(limits.Handler(mux, client, limiter.WithCapacity(100), limiter.WithRate(50)))
	defer server.Close()

	for range 3 {
		answer, err := http.Get(server.URL + "/login")
		if err != nil {
			log.Fatal(err)
		}
		answer.Body.Close()
		fmt.Printf("%s, Retry-After %q\n", answer.Status, answer.Header.Get("Retry-After"))
	}
	// Output:
	// 200 OK, Retry-After ""
	// 200 OK, Retry-After ""
	// 429 Too Many Requests, Retry-After "30"
}

// The address of a client of this machine's proxy, who made the first one up.
func ExampleForwardedFor() {
	client := limiter.ForwardedFor(netip.MustParsePrefix("127.0.0.0/8"))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "127.0.0.1:5678"
	r.Header.Set("X-Forwarded-For", "198.51.100.9, 192.0.2.1")
	fmt.Println(client(r))
	// Output: addr 192.0.2.1
}

// startRedis starts a redis-server of this machine.
func startRedis() (url string, stop func()) {
	binary, err := parts.Find(parts.RedisServer)
	if err != nil {
		log.Fatal(err)
	}
	server, err := parts.StartRedis(binary)
	if err != nil {
		log.Fatal(err)
	}
	return server.URL, func() { _ = server.Stop() }
}
