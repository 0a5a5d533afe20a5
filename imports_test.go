package weir

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/weir-rls/weir/"

// rule forbids imports. It speaks of shipping code only: test files and the
// packages that are tests as a whole may import what they like.
type rule struct {
	name string
	// breaks tells whether a package (its directory) may not import a path.
	breaks func(dir, path string) bool
	why    string
}

var rules = []rule{
	{
		"the service imports only descriptors, buckets and the room where callers wait",
		roomImportsOnly("service", "descriptors", "buckets", "buckets/waiting"),
		"it translates: whoever reads it needs to know the two ends of the translation and nothing of stores, files or settings",
	},
	{
		"descriptors import only buckets",
		roomImportsOnly("descriptors", "buckets"),
		"rules are compiled into charges and know nothing of who asks or of where buckets live",
	},
	{
		"buckets import only the standard library",
		func(dir, path string) bool { return dir == "buckets" && !standard(path) },
		"the arithmetic is pure: it must be provable, and portable to another store, without anything else",
	},
	{
		"a store, a guard or a waiting room imports only buckets",
		func(dir, path string) bool {
			return strings.HasPrefix(dir, "buckets/") && ours(path) && path != module+"buckets" && path != module+dir
		},
		"adapters of one port do not know each other; internal/app puts them together",
	},
	{
		"records import only the standard library",
		func(dir, path string) bool { return within(dir, "records") && !standard(path) },
		"a ledger is bytes under names: what the records mean is known to those who write them",
	},
	{
		"named buckets import only descriptors, buckets, records and the room where callers wait",
		roomImportsOnly("named", "descriptors", "buckets", "buckets/waiting", "records"),
		"HTTP, gRPC and the line protocol ask for the same buckets, so none of them is known here",
	},
	{
		"the line protocol imports only named buckets",
		roomImportsOnly("line", "named"),
		"it translates lines: a second way to buckets would decide differently one day",
	},
	{
		"overrides import only descriptors and records",
		roomImportsOnly("overrides", "descriptors", "records"),
		"what is set of limits is judged by the rules and kept in a ledger; who may set it, and how he says so, is known to the API",
	},
	{
		"capacity imports only descriptors, buckets and records",
		roomImportsOnly("capacity", "descriptors", "buckets", "records"),
		"sizes are computed from what is counted in any store and published on any ledger; which, internal/app decides",
	},
	{
		"traffic imports only descriptors",
		roomImportsOnly("traffic", "descriptors"),
		"it counts what it is told of limits; who tells it, and who looks, it does not know",
	},
	{
		"admin imports only the rooms that it shows: descriptors, overrides, named buckets, capacity, traffic and events",
		roomImportsOnly("admin", "descriptors", "overrides", "named", "capacity", "traffic", "events"),
		"what needs gRPC or a store comes in as a function, so that the pages know neither",
	},
	{
		"envoy imports only descriptors",
		roomImportsOnly("envoy", "descriptors"),
		"what Envoy is told is compared with rules alone, before there is a server, a store or a request",
	},
	{
		"ads imports only descriptors",
		roomImportsOnly("ads", "descriptors"),
		"it turns what a control plane sends into rule files; what becomes of them, and how the operator sees it, is known further out",
	},
	{
		"events import only the standard library",
		func(dir, path string) bool { return within(dir, "events") && !standard(path) },
		"everybody may have something to tell, so what tells it knows nobody; internal/app says what is an event",
	},
	{
		"only buckets/redis imports go-redis, and the load generator to read counters",
		only(prefixes("github.com/redis/"), "buckets/redis", "internal/bench"),
		"a second place that talks to Redis would have its own time-outs, retries and keys",
	},
	{
		"only internal/config imports viper",
		only(prefixes("github.com/spf13/viper"), "internal/config"),
		"viper lower-cases keys and splits them at dots, which is right for settings and wrong for everything else",
	},
	{
		"the limiter imports only buckets, its stores, their guard and the room where callers wait",
		roomImportsOnly("limiter", "buckets", "buckets/memory", "buckets/redis", "buckets/guard", "buckets/waiting"),
		"who uses the library in a program of his own wants no rule files, settings or servers of weir in it",
	},
	{
		"only service, envoy, ads, internal/app, the drop-in, limiter/grpclimit, the load generator, what ends servers, the examples' control plane and, to trace calls, internal/telemetry import gRPC",
		only(prefixes("google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto"),
			"service", "envoy", "ads", "internal/app", "internal/serving", "internal/telemetry", "limiter/grpclimit", "internal/bench",
			"ratelimit", "ratelimit/decide", "ratelimit/stats", "internal/parts/platform"),
		"a wire format that leaks inwards becomes the model of the domain; and who limits an HTTP server with the library wants no gRPC in it",
	},
	{
		"only service, envoy, ads, internal/app, the drop-in, the load generator and the examples' control plane import Envoy's API",
		only(prefixes("github.com/envoyproxy/", "github.com/cncf/xds"), "service", "envoy", "ads", "internal/app", "internal/bench", "ratelimit", "ratelimit/decide", "internal/parts/platform"),
		"a wire format that leaks inwards becomes the model of the domain, and every change of Envoy's API a change of everything",
	},
	{
		"only internal/telemetry imports Prometheus and OpenTelemetry, and ratelimit/stats Prometheus",
		func(dir, path string) bool {
			return only(prefixes("github.com/prometheus/", "go.opentelemetry.io/"), "internal/telemetry", "ratelimit/stats")(dir, path) ||
				dir == "ratelimit/stats" && strings.HasPrefix(path, "go.opentelemetry.io/")
		},
		"names and labels in one place stay bounded and few; everyone else calls observer functions",
	},
	{
		"the drop-in imports no other program of weir, and only internal/cli imports it",
		func(dir, path string) bool {
			target := strings.TrimPrefix(path, module)
			other := slices.Contains([]string{"admin", "overrides", "capacity", "traffic", "named", "line", "limiter", "internal/app"}, target)
			return within(dir, "ratelimit") && other || ours(path) && within(target, "ratelimit") && !within(dir, "ratelimit") && dir != "internal/cli"
		},
		"what envoyproxy/ratelimit's users need is one room, so that the rest of the house does not know of it and can change without it",
	},
	{
		"what the drop-in decides imports no settings, servers or sources",
		roomImportsOnly("ratelimit/decide", "descriptors", "buckets", "ratelimit/stats"),
		"decisions are compared with the reference's by tests that start nothing else",
	},
	{
		"the drop-in's sources import only the rules",
		roomImportsOnly("ratelimit/sources", "descriptors"),
		"where files are is no matter of decisions or settings, and a walk through directories is tested alone",
	},
	{
		"what rewrites rules and settings of the reference imports only descriptors and the reference's settings",
		roomImportsOnly("ratelimit/migrate", "descriptors", "ratelimit/settings"),
		"it turns text into text: what is served, and by whom, it does not need to know",
	},
	{
		"what the drop-in counts in imports only buckets, their stores and guard, and files that are replaced",
		roomImportsOnly("ratelimit/backend", "buckets", "buckets/memory", "buckets/redis", "buckets/guard", "internal/files"),
		"it opens stores by plain values: who reads settings, and who decides by what is counted, is known further out",
	},
	{
		"ratelimit/stats imports nothing of weir, and nothing else imports clients of statsd",
		func(dir, path string) bool {
			return roomImportsOnly("ratelimit/stats")(dir, path) ||
				only(prefixes("github.com/cactus/go-statsd-client/", "github.com/DataDog/datadog-go/"), "ratelimit/stats")(dir, path)
		},
		"it counts under the reference's names what it is told; who tells it, it does not know",
	},
	{
		"only cmd/weir imports internal/cli",
		only(exactly(module+"internal/cli"), "cmd/weir"),
		"the command line is the outermost shell; code that is wanted elsewhere belongs further in",
	},
	{
		"nothing imports cmd",
		only(prefixes(module + "cmd")),
		"a command is a doorbell; behind it is internal/cli",
	},
	{
		"only internal/cli imports internal/app",
		only(exactly(module+"internal/app"), "internal/cli"),
		"internal/app wires all rooms; a room that imported it would import every other",
	},
	{
		"what tries rules imports only the service, rules, buckets in memory and the room where callers wait, and only internal/cli and internal/simulate import it",
		func(dir, path string) bool {
			room := "internal/ruletest"
			return roomImportsOnly(room, "service", "descriptors", "buckets", "buckets/memory", "buckets/waiting")(dir, path) ||
				path == module+room && dir != "internal/cli" && dir != "internal/simulate"
		},
		"it judges by the code that serves, and nothing that serves may depend on what tries it",
	},
	{
		"what replays traces imports only what tries rules, the service, rules, buckets and the room where callers wait, and only internal/cli imports it",
		func(dir, path string) bool {
			room := "internal/simulate"
			return roomImportsOnly(room, "internal/ruletest", "service", "descriptors", "buckets", "buckets/waiting")(dir, path) || path == module+room && dir != "internal/cli"
		},
		"a second way to a verdict would simulate something else than what serves",
	},
	{
		"the load generator imports nothing of weir, and only internal/cli and tools/bench import it",
		func(dir, path string) bool {
			return dir == "internal/bench" && ours(path) || path == module+"internal/bench" && dir != "internal/cli" && dir != "tools/bench"
		},
		"it measures any rate limit service from outside; one that knew weir from inside could not compare it with others",
	},
	{
		"tools/bench imports only the load generator and internal/parts",
		roomImportsOnly("tools/bench", "internal/bench", "internal/parts"),
		"what it measures are whole processes, started as users start them",
	},
	{
		"only examples, tools/bench and tests import internal/parts",
		func(dir, path string) bool {
			return within(strings.TrimPrefix(path, module), "internal/parts") && !within(dir, "internal/parts") && !within(dir, "examples") && dir != "internal/stage" && dir != "tools/bench"
		},
		"it starts Envoy and Redis as child processes, which weir itself never does",
	},
	{
		"only examples and tests import internal/stage, which imports nothing but internal/parts",
		func(dir, path string) bool {
			stage := module + "internal/stage"
			return path == stage && !within(dir, "examples") || dir == "internal/stage" && ours(path) && path != module+"internal/parts"
		},
		"an example shows weir from outside, as a process; what it needs of weir's rooms its user would need too",
	},
	{
		"only tests drive a browser",
		only(prefixes("github.com/chromedp/"), "internal/browsertest"),
		"nothing that ships starts programs, and the driver brings a large model of Chromium's protocol",
	},
	{
		"shipping code imports no tests",
		func(dir, path string) bool { return path == "testing" || exempt(strings.TrimPrefix(path, module)) },
		"what is exempt from these rules must not come back in through the rooms that are not",
	},
}

// roomImportsOnly lets a room and what is below it import the named rooms of
// this module.
func roomImportsOnly(room string, allowed ...string) func(dir, path string) bool {
	return func(dir, path string) bool {
		target := strings.TrimPrefix(path, module)
		return within(dir, room) && ours(path) && !within(target, room) && !slices.Contains(allowed, target)
	}
}

// only lets nobody but the named packages import what matches.
func only(matches func(path string) bool, allowed ...string) func(dir, path string) bool {
	return func(dir, path string) bool { return matches(path) && !slices.Contains(allowed, dir) }
}

func prefixes(all ...string) func(path string) bool {
	return func(path string) bool {
		return slices.ContainsFunc(all, func(p string) bool { return strings.HasPrefix(path, p) })
	}
}

func exactly(wanted string) func(path string) bool {
	return func(path string) bool { return path == wanted }
}

func within(dir, room string) bool { return dir == room || strings.HasPrefix(dir, room+"/") }
func ours(path string) bool        { return strings.HasPrefix(path, module) }
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// exempt tells of the directories that are tests as a whole.
func exempt(dir string) bool {
	return within(dir, "e2e") || within(dir, "buckets/storetest") || within(dir, "internal/parts/partstest") || within(dir, "internal/browsertest") || within(dir, "internal/stage/stagetest")
}

// source is a parsed Go file of this module.
type source struct {
	dir, name string
	file      *ast.File
	set       *token.FileSet
}

// sources parses every Go file of the module that matches.
func sources(t *testing.T, mode parser.Mode, matches func(dir, name string) bool) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := len(entry.Name()) > 1 && strings.HasPrefix(entry.Name(), ".")
		if entry.IsDir() && (hidden || entry.Name() == "testdata" || entry.Name() == "vendor") {
			return filepath.SkipDir
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		if entry.IsDir() || !strings.HasSuffix(path, ".go") || !matches(dir, entry.Name()) {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, mode)
		all = append(all, source{dir, filepath.ToSlash(path), file, set})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func shipping(dir, name string) bool { return !strings.HasSuffix(name, "_test.go") && !exempt(dir) }

func TestImportRules(t *testing.T) {
	dirs := map[string]bool{}
	for _, s := range sources(t, parser.ImportsOnly, shipping) {
		dirs[s.dir] = true
		for _, spec := range s.file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, broken := range violations(s.dir, path) {
				t.Errorf("%s: %s", s.set.Position(spec.Pos()), broken)
			}
		}
	}
	// A walk that looks in the wrong place finds nothing wrong there.
	for _, room := range []string{"buckets", "descriptors", "service", "internal/app", "internal/config", "cmd/weir"} {
		if !dirs[room] {
			t.Errorf("no Go file found in %s: has it moved? Then the rules must follow it", room)
		}
	}
}

// violations are the rules that an import breaks, with their reasons.
func violations(dir, path string) (broken []string) {
	for _, r := range rules {
		if r.breaks(dir, path) {
			broken = append(broken, fmt.Sprintf("import of %s breaks the rule that %s: %s", path, r.name, r.why))
		}
	}
	return broken
}

// Each rule is broken once and kept once, for a rule that never fails guards
// nothing.
func TestImportRules_CatchWhatTheyForbid(t *testing.T) {
	for _, c := range []struct {
		dir, path string
		allowed   bool
	}{
		{"service", module + "buckets/redis", false},
		{"service", module + "internal/config", false},
		{"service", module + "descriptors", true},
		{"service", module + "buckets/waiting", true},
		{"descriptors", module + "service", false},
		{"descriptors", module + "buckets/memory", false},
		{"descriptors", "google.golang.org/grpc/codes", false},
		{"descriptors", "go.yaml.in/yaml/v4", true},
		{"buckets", "golang.org/x/sync/errgroup", false},
		{"buckets", module + "buckets/memory", false},
		{"buckets", "math/bits", true},
		{"buckets/memory", module + "buckets/redis", false},
		{"buckets/guard", module + "descriptors", false},
		{"buckets/guard", module + "buckets", true},
		{"buckets/guard", "github.com/redis/go-redis/v9", false},
		{"buckets/redis", "github.com/redis/go-redis/v9", true},
		{"internal/app", "github.com/redis/go-redis/v9", false},
		{"internal/app", "google.golang.org/grpc", true},
		{"internal/app", "github.com/prometheus/client_golang/prometheus", false},
		{"ratelimit/stats", "github.com/prometheus/client_golang/prometheus", true},
		{"ratelimit/stats", "go.opentelemetry.io/otel", false},
		{"ratelimit/stats", module + "descriptors", false},
		{"ratelimit", "github.com/DataDog/datadog-go/v5/statsd", false},
		{"internal/cli", "github.com/spf13/viper", false},
		{"internal/cli", "google.golang.org/grpc/health", false},
		{"internal/cli", module + "internal/app", true},
		{"admin", module + "internal/app", false},
		{"admin", "github.com/envoyproxy/go-control-plane/envoy/type/v3", false},
		{"admin", "go.opentelemetry.io/otel", false},
		{"internal/app", module + "internal/cli", false},
		{"examples/demo", module + "cmd/weir", false},
		{"internal/app", module + "buckets/storetest", false},
		{"internal/app", "testing", false},
		{"internal/app", module + "internal/browsertest", false},
		{"admin/dashboard", "github.com/chromedp/chromedp", false},
		{"internal/app", module + "internal/parts", false},
		{"examples/demo", module + "internal/parts", true},
		{"examples/istio", module + "internal/parts/platform", true},
		{"examples/istio", "google.golang.org/grpc", false},
		{"internal/parts/platform", "google.golang.org/grpc", true},
		{"internal/bench", module + "service", false},
		{"internal/bench", module + "internal/parts", false},
		{"internal/bench", "google.golang.org/grpc", true},
		{"internal/bench", "github.com/redis/go-redis/v9", true},
		{"internal/app", module + "internal/bench", false},
		{"internal/cli", module + "internal/bench", true},
		{"internal/cli", module + "internal/ruletest", true},
		{"internal/ruletest", module + "service", true},
		{"internal/ruletest", module + "buckets/redis", false},
		{"internal/app", module + "internal/ruletest", false},
		{"internal/simulate", module + "internal/ruletest", true},
		{"internal/simulate", module + "buckets/memory", false},
		{"internal/app", module + "internal/simulate", false},
		{"internal/cli", module + "internal/simulate", true},
		{"tools/bench", module + "internal/bench", true},
		{"tools/bench", module + "internal/parts", true},
		{"tools/bench", module + "internal/app", false},
		{"tools/bench", "google.golang.org/grpc", false},
		{"examples/demo", module + "internal/stage", true},
		{"internal/stage", module + "internal/parts", true},
		{"internal/stage", module + "buckets", false},
		{"internal/app", module + "internal/stage", false},
		{"examples/demo", module + "internal/stage/stagetest", false},
		{"ratelimit", module + "ratelimit/decide", true},
		{"ratelimit", module + "ads", true},
		{"ratelimit", module + "internal/app", false},
		{"ratelimit/settings", "google.golang.org/grpc", false},
		{"internal/cli", module + "ratelimit/settings", true},
		{"internal/app", module + "ratelimit", false},
		{"service", module + "ratelimit/decide", false},
		{"ratelimit/decide", module + "ratelimit/settings", false},
		{"ratelimit/decide", module + "buckets", true},
		{"ratelimit/sources", module + "descriptors", true},
		{"ratelimit/sources", module + "ratelimit/settings", false},
		{"internal/serving", "google.golang.org/grpc", true},
		{"ratelimit/backend", module + "buckets/redis", true},
		{"ratelimit/backend", module + "ratelimit/settings", false},
		{"envoy", module + "descriptors", true},
		{"envoy", module + "service", false},
		{"envoy/generate", module + "descriptors", true},
		{"envoy/generate", module + "buckets", false},
		{"envoy/generate", "google.golang.org/protobuf/reflect/protoreflect", false},
		{"envoy", "google.golang.org/protobuf/reflect/protoreflect", true},
		{"ads", module + "descriptors", true},
		{"ads", module + "service", false},
		{"ads", "google.golang.org/grpc", true},
		{"events", module + "service", false},
		{"events", "github.com/redis/go-redis/v9", false},
		{"events", "net/http", true},
		{"service", module + "events", false},
		{"service", "log/slog", true},
		{"records", module + "buckets/redis", false},
		{"records", "syscall", true},
		{"named", module + "admin", false},
		{"overrides", module + "records", true},
		{"overrides", module + "named", false},
		{"overrides", module + "buckets", false},
		{"capacity", module + "buckets", true},
		{"capacity", module + "buckets/redis", false},
		{"capacity", module + "overrides", false},
		{"admin", module + "overrides", true},
		{"admin", module + "service", false},
		{"admin", module + "traffic", true},
		{"admin", module + "events", true},
		{"traffic", module + "descriptors", true},
		{"traffic", module + "service", false},
		{"admin", module + "buckets/redis", false},
		{"named", module + "buckets/waiting", true},
		{"line", module + "buckets/waiting", false},
		{"line", module + "named", true},
		{"limiter", module + "buckets/waiting", true},
		{"limiter", module + "descriptors", false},
		{"limiter", module + "internal/telemetry", false},
		{"limiter", "google.golang.org/grpc/codes", false},
		{"limiter/grpclimit", module + "limiter", true},
		{"limiter/grpclimit", module + "service", false},
		{"limiter/grpclimit", "google.golang.org/genproto/googleapis/rpc/errdetails", true},
		{"limiter/grpclimit", "github.com/envoyproxy/go-control-plane/envoy/type/v3", false},
	} {
		if broken := violations(c.dir, c.path); (len(broken) == 0) != c.allowed {
			t.Errorf("%s importing %s: allowed should be %v, got %q", c.dir, c.path, c.allowed, broken)
		}
	}
}
