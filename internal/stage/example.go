package stage

import (
	"context"
	"net/http"
)

// Example is what an example brings along.
type Example struct {
	Name      string     // of its folder below examples
	Title     string     // of its screen
	Upstreams []Upstream // several of one cluster are its endpoints
	Weir      []string   // further arguments of `weir serve`; they win over the stage's

	// EnvoyAdmin is how the rules name the admin interface of the first Envoy,
	// host:port as in docker-compose.yaml. Empty if they do not; otherwise weir
	// serves a copy of them that names the one on the stage.
	EnvoyAdmin string

	// Story sends requests and shows what became of them. An error is for what
	// should not have happened; an expected refusal is none.
	Story func(context.Context, *Stage) error
	// Invite are lines for the user to try, shown after the story. May be nil.
	Invite func(*Stage) []string
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
	Args  []string // of `weir serve`, after all others
}
