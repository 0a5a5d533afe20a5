package stage

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/weir-rls/weir/internal/parts"
)

// Example is what an example brings along.
type Example struct {
	Name      string     // of its folder below examples
	Title     string     // of its screen
	Upstreams []Upstream // several of one cluster are its endpoints
	Weir      []string   // further arguments of `weir serve`; they win over the stage's
	Token     string     // of an operator of weir's API and dashboard; empty: this machine needs none

	// EnvoyAdmin is how the rules name the admin interface of the first Envoy,
	// host:port as in docker-compose.yaml. Empty if they do not; otherwise weir
	// serves a copy of them that names the one on the stage.
	EnvoyAdmin string

	// Platform starts, once upstreams and Redis run, what a platform runs beside
	// envoyproxy/ratelimit, whose place weir takes. Nil where weir is itself: `weir serve`.
	Platform func(*Stage) (*Platform, error)

	// Story sends requests and shows what became of them. An error is for what
	// should not have happened; an expected refusal is none.
	Story func(context.Context, *Stage) error
	// Invite are lines for the user to try, shown after the story. May be nil.
	Invite func(*Stage) []string
}

// Platform is how somebody else runs weir: under the name ratelimit, by an environment. The
// stage adds the addresses at which it listens, and where it counts.
type Platform struct {
	Args    []string
	Environ []string          // each variable as NAME=value
	Cluster string            // of Envoy's file: weir
	Places  map[string]string // of directories that the environment and Envoy's file name
	Stop    func()            // ends what was started; may be nil
}

// Upstream is a backend and the cluster of Envoy's file that it belongs to.
type Upstream struct {
	Cluster string
	Handler http.Handler
}

// Options say how an example is run.
type Options struct {
	Store string   // memory or redis
	Weir  string   // path of the weir binary
	Files string   // directory of the example's files
	Port  int      // of the first listener of the first Envoy; 0 gives all listeners any free port
	HTTP  int      // port of the first weir's API and dashboard; 0 is any free one
	Args  []string // of `weir serve`, after all others

	// Cast is what runs instead of the stage's own choice, for a test of another
	// file that runs the example.
	Cast *Cast
}

// Cast says what runs.
type Cast struct {
	Server parts.Part // of the redis store
	Envoys int
	Envoy  string // path of their file
	// Weirs are the arguments of each replica's `weir serve`, for rules at that
	// path and the store's URL, empty with the memory store.
	Weirs func(rules, redisURL string) [][]string
}

// cast is the stage's own choice: one of each, or two that share a Redis.
func (o Options) cast(e Example) Cast {
	c := Cast{Server: parts.RedisServer, Envoys: 1, Envoy: filepath.Join(o.Files, "envoy.yaml")}
	if o.Store == "redis" {
		c.Envoys = 2
	}
	c.Weirs = func(rules, redisURL string) [][]string {
		args := []string{
			"--rules", rules, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
			"--store-timeout", "2s", "--drain-delay", "1s", "--headers", "legacy", "--store", o.Store,
		}
		if redisURL != "" {
			args = append(args, "--redis-url", redisURL)
		}
		if e.Token != "" {
			args = append(args, "--admin-token", e.Token)
		}
		args = slices.Concat(args, e.Weir, o.Args)
		return slices.Repeat([][]string{args}, c.Envoys)
	}
	return c
}
