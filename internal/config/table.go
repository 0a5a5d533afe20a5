package config

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
)

// setting is the one definition of a setting: its flag, its environment
// variable, its key in the file and its line in the manual derive from it.
type setting struct {
	name  string // of the flag
	group string // heading in the help; the table is in the order of groups
	value string // what stands for the value in the help; empty for a switch
	usage string
	// def is the default; its type (string, bool, int, float64, time.Duration) is the
	// setting's type.
	def    any
	check  func(value any) string // what is wrong with a value of the right type, with the remedy; nil accepts all
	secret bool                   // values are shown nowhere
}

// envPrefix starts the name of every variable that weir reads.
const envPrefix = "WEIR_"

func (s setting) key() string { return strings.ReplaceAll(s.name, "-", "_") }
func (s setting) env() string { return envPrefix + strings.ToUpper(s.key()) }

// kind is the word for the setting's type.
func (s setting) kind() string {
	switch s.def.(type) {
	case bool:
		return "bool"
	case int:
		return "int"
	case float64:
		return "number"
	case time.Duration:
		return "duration"
	default:
		return "string"
	}
}

// quote is a value as errors show it.
func (s setting) quote(value string) string {
	if s.secret {
		return quote(Secret(value).String())
	}
	if s.key() == "redis_url" {
		value = RedisURL(value).String()
	}
	return quote(value)
}

var table = []setting{
	{
		name: "rules", group: "Rules", value: "FILE|DIR", def: "",
		usage: "Rule file, or a directory whose .yaml and .yml files are the rules; watched for changes. This or --rules-ads is required.",
	},
	{
		name: "merge-domains", group: "Rules", def: false,
		usage: "Let several files add to one domain; otherwise a domain in two files is a fault.",
	},
	{
		name: "all-or-nothing", group: "Rules", def: false,
		usage: "Keep all rules as they are while anything in them has an error; otherwise only the domains that have one keep theirs.",
	},
	{
		name: "wait-for-rules", group: "Rules", def: true,
		usage: "Not to be ready until rules were loaded once. false: ready without them; calls are answered with UNAVAILABLE, and Envoy's failure_mode_deny decides, until there are some.",
	},
	{
		name: "rules-ads", group: "Rules over ADS", value: "HOST:PORT", def: "", check: optional(server),
		usage: "Control plane that sends the rules over ADS, in place of --rules.",
	},
	{
		name: "rules-ads-node", group: "Rules over ADS", value: "ID", def: "weir",
		usage: "What weir calls itself there, by which the control plane chooses rules.",
	},
	{
		name: "rules-ads-metadata", group: "Rules over ADS", value: "KEY=VALUE,...", def: "", check: optional(pairs),
		usage: "What weir tells of itself beside.",
	},
	{
		name: "rules-ads-headers", group: "Rules over ADS", value: "NAME=VALUE,...", def: "", check: optional(headers), secret: true,
		usage: "Headers of the call to the control plane, such as one that lets weir in. Safest in WEIR_RULES_ADS_HEADERS.",
	},
	{
		name: "rules-ads-ca", group: "Rules over ADS", value: "FILE", def: "",
		usage: "Authorities, PEM, that sign the control plane's certificate; the connection is TLS 1.3 then, and plain text otherwise.",
	},
	{
		name: "rules-ads-cert", group: "Rules over ADS", value: "FILE", def: "",
		usage: "Certificate, PEM, that weir shows to the control plane; needs --rules-ads-key and --rules-ads-ca. A replaced file is used from the next connection on.",
	},
	{
		name: "rules-ads-key", group: "Rules over ADS", value: "FILE", def: "",
		usage: "Private key of --rules-ads-cert, PEM.",
	},
	{
		name: "rules-ads-server-name", group: "Rules over ADS", value: "NAME", def: "",
		usage: "Name that the control plane's certificate must have; the host of --rules-ads unless given. Needs --rules-ads-ca.",
	},
	{
		name: "rules-ads-max-bytes", group: "Rules over ADS", value: "N", def: 16 << 20, check: between(1, 256<<20),
		usage: "Largest response, in bytes. A larger one ends the connection, and the rules stay as they are.",
	},
	{
		name: "rules-ads-keepalive", group: "Rules over ADS", value: "DURATION", def: 5 * time.Minute, check: atLeast(10 * time.Second),
		usage: "Silence after which the control plane is pinged. Servers that use gRPC's defaults close connections that ping more often than every 5m.",
	},
	{
		name: "rules-ads-longest-pause", group: "Rules over ADS", value: "DURATION", def: 30 * time.Second, check: atLeast(time.Second),
		usage: "Longest pause before weir connects anew. The first is half a second, each further one twice as long, and each is up to a half shorter by chance.",
	},

	{
		name: "grpc-listen", group: "Addresses", value: "HOST:PORT", def: ":8081", check: address,
		usage: "Where Envoy asks. Without a host weir listens on all addresses, so that other machines reach it.",
	},
	{
		name: "http-listen", group: "Addresses", value: "HOST:PORT", def: ":8080", check: address,
		usage: "Where health, metrics and the API are served, and where weir health asks.",
	},
	{
		name: "line-listen", group: "Addresses", value: "HOST:PORT", def: "", check: optional(address),
		usage: "Where the line protocol (INIT, CHECK, STOP) is served, which has no authentication. Off unless given.",
	},

	{
		name: "store", group: "Store", value: "memory|redis", def: StoreMemory, check: oneOf(StoreMemory, StoreRedis),
		usage: "Where the buckets live: in this process, or in a Redis or Valkey that all replicas share.",
	},
	{
		name: "redis-url", group: "Store", value: "URL", def: "redis://127.0.0.1:6379/0", check: redisURL,
		usage: "The Redis or Valkey of --store redis: redis://[USER:PASSWORD@]HOST:PORT/DB, or rediss:// for TLS. With ?cluster=true it is a Cluster of which HOST:PORT is a node, with ?master_name=NAME the master of that name that a Sentinel at HOST:PORT knows; &addr=HOST:PORT names more of either. A password is safer in WEIR_REDIS_URL, which other users of the machine cannot see.",
	},
	{
		name: "redis-password-file", group: "Store", value: "FILE", def: "",
		usage: "File with the password for Redis, in place of one in --redis-url, which still names the user. Every new connection uses what it says then; newlines at its end do not count.",
	},
	{
		name: "redis-ca", group: "Store", value: "FILE", def: "",
		usage: "Authorities, PEM, that sign the certificates of Redis and its Sentinels; needs a rediss:// URL. Those of the system unless given.",
	},
	{
		name: "redis-cert", group: "Store", value: "FILE", def: "",
		usage: "Certificate, PEM, that weir shows to Redis; needs --redis-key and a rediss:// URL. A replaced file is used from the next connection on.",
	},
	{
		name: "redis-key", group: "Store", value: "FILE", def: "",
		usage: "Private key of --redis-cert, PEM.",
	},
	{
		name: "store-timeout", group: "Store", value: "DURATION", def: 10 * time.Millisecond, check: atLeast(time.Millisecond),
		usage: "Longest wait for the store; then each limit's on_store_error decides. Never beyond the caller's deadline.",
	},
	{
		name: "wait-for-store", group: "Store", def: false,
		usage: "Not to be ready until the shared store has answered once. Otherwise weir starts without it, and limits are judged by their on_store_error until it answers.",
	},
	{
		name: "replicas", group: "Store", value: "N", def: 1, check: atLeast(1),
		usage: "How many replicas share the limits of on_store_error: local, where the shared store never answered and so never told.",
	},
	{
		name: "deny-cache", group: "Store", def: true,
		usage: "Remember what the shared store refused until it would be admitted, at most 100 ms, and refuse it again without asking. What another replica gives back is seen that much later.",
	},
	{
		name: "leases", group: "Store", def: true,
		usage: "Take tokens of large token buckets that are asked more than 500 times a second from the shared store ahead, of all replicas together at most a hundredth of the burst, and admit from them without asking. A limit of lease: off is left out.",
	},
	{
		name: "memory-max-buckets", group: "Store", value: "N", def: 1_000_000, check: atLeast(1),
		usage: "Most buckets kept in memory; beyond them new values of a limit share one bucket. A token bucket takes about 160 bytes with a key of 63 and 670 with one of 524, about the longest; a sliding window up to 1.2 kB more, slots some 350 bytes more and 100 for each that is held.",
	},

	{
		name: "state-dir", group: "Store", value: "DIR", def: "",
		usage: "Directory that keeps what is set through the API with --store memory; without it that is lost when weir stops. With --store redis it is kept there.",
	},

	{
		name: "admin-token", group: "API", value: "TEXT", def: "", check: secretKey, secret: true,
		usage: "What an operator sends to the API as Authorization: Bearer TEXT, at least 32 random characters. Without it, --admin-tokens-file and --http-client-ca only callers on the same machine are answered. Safest in WEIR_ADMIN_TOKEN.",
	},
	{
		name: "admin-tokens-file", group: "API", value: "FILE", def: "",
		usage: "Tokens of viewers, who may read, and of operators, each a line ROLE NAME sha256:HEX as weir token prints it. A replaced file counts within a second; one that cannot be used leaves the tokens as they were.",
	},
	{
		name: "http-cert", group: "API", value: "FILE", def: "",
		usage: "Certificate, PEM, with which the HTTP port is served over TLS; needs --http-key.",
	},
	{
		name: "http-key", group: "API", value: "FILE", def: "",
		usage: "Private key of --http-cert, PEM.",
	},
	{
		name: "http-client-ca", group: "API", value: "FILE", def: "",
		usage: "Authorities, PEM, whose client certificates the API accepts, from any machine and as an operator's; needs --http-cert. Health and metrics ask for none.",
	},

	{
		name: "receipt-key", group: "Answers", value: "TEXT", def: "", check: secretKey, secret: true,
		usage: "Signs the receipts by which the end of a stream is told; the same in all replicas, at least 32 random characters. Without it the replicas on one Redis share a key that they keep there, and a replica with the memory store has its own. Safest in WEIR_RECEIPT_KEY.",
	},
	{
		name: "headers", group: "Answers", value: "off|draft10|legacy", def: HeadersOff, check: oneOf(HeadersOff, HeadersDraft10, HeadersLegacy),
		usage: "Rate limit headers for the caller: none, RateLimit and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-10, or X-RateLimit-Limit, -Remaining and -Reset.",
	},
	{
		name: "show-degraded", group: "Answers", value: "off|header|metadata", def: DegradedOff, check: oneOf(DegradedOff, DegradedInHeader, DegradedInMetadata),
		usage: "Tell of an answer that was found without the shared store by what it was, local, allow or deny: in the header X-RateLimit-Degraded of the response, or as degraded in Envoy's dynamic metadata, for logs.",
	},
	{
		name: "retry-jitter", group: "Answers", value: "DURATION", def: time.Duration(0), check: atLeast(time.Duration(0)),
		usage: "Refused callers are told to come back up to this much later than they could, each another time, so that they do not all return together.",
	},

	{
		name: "on-excess", group: "Bounds", value: "deny|allow", def: ExcessDeny, check: oneOf(ExcessDeny, ExcessAllow),
		usage: "Verdict on a request that is too large to be judged, or comes while too many are. Whoever can make requests large, or many, passes every limit if it is allow. What is given back or settled is so in any case.",
	},
	{
		name: "max-descriptors", group: "Bounds", value: "N", def: 32, check: atLeast(1),
		usage: "Most descriptors in one request; --on-excess decides a request with more.",
	},
	{
		name: "max-entries", group: "Bounds", value: "N", def: 64, check: atLeast(1),
		usage: "Most entries in one descriptor; --on-excess decides a request with more.",
	},
	{
		name: "max-key-bytes", group: "Bounds", value: "N", def: 4 << 10, check: atLeast(1),
		usage: "Longest key of an entry, in bytes; --on-excess decides a request with a longer one.",
	},
	{
		name: "max-value-bytes", group: "Bounds", value: "N", def: 64 << 10, check: atLeast(1),
		usage: "Longest value of an entry, in bytes; --on-excess decides a request with a longer one. Keep it above Envoy's max_request_headers_kb, 60 KiB by default.",
	},
	{
		name: "max-message-bytes", group: "Bounds", value: "N", def: 2 << 20, check: between(1, 128<<20),
		usage: "Largest request, in bytes; --on-excess decides a larger one. One of more than eight times as many is an error, which Envoy admits by default: keep it above --max-descriptors times Envoy's max_request_headers_kb.",
	},
	{
		name: "max-in-flight", group: "Bounds", value: "N", def: 10_000, check: atLeast(1),
		usage: "Most requests that are judged at a time, without those that wait for tokens; --on-excess decides what comes beyond them, at once.",
	},
	{
		name: "max-in-flight-bytes", group: "Bounds", value: "N", def: 256 << 20, check: atLeast(1),
		usage: "Most bytes of all requests that are judged or wait; --on-excess decides what comes beyond them, at once.",
	},
	{
		name: "max-waiters", group: "Bounds", value: "N", def: 20_000, check: atLeast(1),
		usage: "Most requests that wait for tokens at a time, of all limits and named buckets together, beside the max_waiters of each; one more is refused at once.",
	},

	{
		name: "grpc-reflection", group: "gRPC", def: false,
		usage: "Describe the services to tools such as grpcurl.",
	},
	{
		name: "grpc-keepalive-time", group: "gRPC", value: "DURATION", def: time.Minute, check: atLeast(time.Second),
		usage: "Silence after which a connection is pinged.",
	},
	{
		name: "grpc-keepalive-timeout", group: "gRPC", value: "DURATION", def: 20 * time.Second, check: atLeast(time.Second),
		usage: "Wait for the answer to a ping before the connection is closed.",
	},
	{
		name: "grpc-cert", group: "gRPC", value: "FILE", def: "",
		usage: "Certificate, PEM, with which the gRPC port is served over TLS; needs --grpc-key. A replaced file serves from the next connection on.",
	},
	{
		name: "grpc-key", group: "gRPC", value: "FILE", def: "",
		usage: "Private key of --grpc-cert, PEM.",
	},
	{
		name: "grpc-client-ca", group: "gRPC", value: "FILE", def: "",
		usage: "Authorities, PEM, of which each client of the gRPC port then needs a certificate; needs --grpc-cert.",
	},
	{
		name: "grpc-client-names", group: "gRPC", value: "NAME,...", def: "",
		usage: "Names of which a client's certificate must have one, as DNS name or URI, such as spiffe://mesh/ns/edge/sa/envoy; needs --grpc-client-ca.",
	},
	{
		name: "grpc-max-streams", group: "gRPC", value: "N", def: 1024, check: between(1, math.MaxInt32),
		usage: "Most calls under way on one connection; Envoy opens another one for more.",
	},
	{
		name: "grpc-secret-file", group: "gRPC", value: "FILE", def: "",
		usage: "Secrets, one a line of at least 32 characters, of which each call must have one in the metadata x-weir-secret; health checks need none. A replaced file counts within a second; one that cannot be used leaves the secrets as they were.",
	},
	{
		name: "grpc-max-connection-age", group: "gRPC", value: "DURATION", def: 30 * time.Minute, check: zeroOrAtLeast(time.Second),
		usage: "Age at which a client is asked to connect anew, so that Envoys spread over new replicas; 0s is never.",
	},
	{
		name: "grpc-max-connection-age-grace", group: "gRPC", value: "DURATION", def: 30 * time.Second, check: atLeast(time.Second),
		usage: "Time for the calls under way on a connection that reached that age.",
	},

	{
		name: "drain-delay", group: "Shutdown", value: "DURATION", def: 5 * time.Second, check: atLeast(time.Duration(0)),
		usage: "How long to go on serving as NOT_SERVING after SIGTERM. Keep it longer than the interval of Envoy's health check, or Envoy sends calls to a replica that is gone.",
	},
	{
		name: "drain-timeout", group: "Shutdown", value: "DURATION", def: 20 * time.Second, check: atLeast(time.Duration(0)),
		usage: "How long the calls under way may then take before they are cut off. Kubernetes kills a container 30 s after SIGTERM, so keep the sum of both below that.",
	},

	{
		name: "events-webhook", group: "Events", value: "URL", def: "", check: optional(webURL),
		usage: "Where events are posted to, as JSON: limits hit (sampled), breakers moved, limits set, rules reloaded. They are in the log in any case.",
	},
	{
		name: "events-stream", group: "Events", value: "KEY", def: "",
		usage: "Key of a stream in the Redis of --store redis to which events are added.",
	},

	{
		name: "decision-log", group: "Events", value: "off|refused|all", def: DecisionLogOff, check: oneOf(DecisionLogOff, DecisionLogRefused, DecisionLogAll),
		usage: "Log each call that was refused or failed, or all calls, one line of JSON for each: who asked, which limit decided, what is left. Values that a domain hashes stay hashed.",
	},
	{
		name: "decision-log-sample", group: "Events", value: "N", def: 100, check: atLeast(1),
		usage: "Of the admitted calls --decision-log all logs one in N, chosen at random.",
	},
	{
		name: "decision-log-per-second", group: "Events", value: "N", def: 100, check: atLeast(1),
		usage: "Most lines of the decision log in one second. What is beyond is dropped and counted.",
	},

	{
		name: "tracing", group: "Tracing", value: "off|otlp-grpc|otlp-http", def: TracingOff, check: oneOf(TracingOff, TracingGRPC, TracingHTTP),
		usage: "Send OpenTelemetry traces, which go on where Envoy's ended, to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, this machine's unless given. The other standard OTEL_EXPORTER_OTLP_ variables, OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES count too.",
	},
	{
		name: "tracing-sample", group: "Tracing", value: "RATIO", def: 0.01, check: ratio,
		usage: "Share of the calls that is traced, from 0 to 1, of those that come without a trace context. Of those that come with one Envoy has decided.",
	},

	{
		name: "log-level", group: "Logging", value: "debug|info|warn|error", def: "info", check: oneOf("debug", "info", "warn", "error"),
		usage: "Least level that is logged, as JSON on standard error.",
	},
}

// byKey is the setting with a file key.
func byKey(key string) (setting, bool) {
	for _, s := range table {
		if s.key() == key {
			return s, true
		}
	}
	return setting{}, false
}

// zero is the value of the setting's type that says nothing.
func (s setting) zero() any { return reflect.Zero(reflect.TypeOf(s.def)).Interface() }

// defaultText is the default as one would write it: 1m and not 1m0s.
func (s setting) defaultText() string {
	text := fmt.Sprint(s.def)
	if strings.HasSuffix(text, "m0s") {
		return strings.TrimSuffix(text, "0s")
	}
	return text
}
