// Package config holds the settings of weir: what they are called, what they
// mean, what they default to, and how flags, the environment and a file combine
// to give them. Rule files are no settings: viper lower-cases keys and splits
// them at dots, so only settings go through it, and only here.
package config

import (
	"log/slog"
	"time"
)

// Settings are all settings of a weir that serves. Every field has a flag, an
// environment variable and a key in the settings file, all named after it:
// GRPCListen is --grpc-listen, WEIR_GRPC_LISTEN and grpc_listen.
type Settings struct {
	Rules        string `mapstructure:"rules"`          // rule file, or directory of rule files
	MergeDomains bool   `mapstructure:"merge_domains"`  // several files may add to one domain; otherwise a second one is a fault
	AllOrNothing bool   `mapstructure:"all_or_nothing"` // an error in one domain keeps all as they are
	WaitForRules bool   `mapstructure:"wait_for_rules"` // not ready until rules were loaded once

	RulesADS             string        `mapstructure:"rules_ads"`               // host:port of who sends the rules in place of Rules; empty: nobody does
	RulesADSNode         string        `mapstructure:"rules_ads_node"`          // ID of this node
	RulesADSMetadata     string        `mapstructure:"rules_ads_metadata"`      // of this node, see [Pairs]
	RulesADSHeaders      Secret        `mapstructure:"rules_ads_headers"`       // of the call to the server, see [Pairs]
	RulesADSCA           string        `mapstructure:"rules_ads_ca"`            // PEM file of who signs the server's certificate; empty: no TLS
	RulesADSCert         string        `mapstructure:"rules_ads_cert"`          // PEM file that the server is shown; empty: none is
	RulesADSKey          string        `mapstructure:"rules_ads_key"`           // PEM file of its key
	RulesADSServerName   string        `mapstructure:"rules_ads_server_name"`   // that the server's certificate has; empty: the host
	RulesADSMaxBytes     int           `mapstructure:"rules_ads_max_bytes"`     // of a response
	RulesADSKeepalive    time.Duration `mapstructure:"rules_ads_keepalive"`     // silence after which the server is pinged, at least 10s
	RulesADSLongestPause time.Duration `mapstructure:"rules_ads_longest_pause"` // before weir connects anew

	GRPCListen string `mapstructure:"grpc_listen"` // host:port that Envoy asks; an empty host is every address, port 0 any free port
	HTTPListen string `mapstructure:"http_listen"` // host:port of health, metrics and the API
	LineListen string `mapstructure:"line_listen"` // host:port of the line protocol, empty: it is off

	Store            string        `mapstructure:"store"`              // StoreMemory or StoreRedis
	RedisURL         RedisURL      `mapstructure:"redis_url"`          // used with StoreRedis
	StoreTimeout     time.Duration `mapstructure:"store_timeout"`      // longest wait for one answer of the store, above 0
	WaitForStore     bool          `mapstructure:"wait_for_store"`     // not ready until the store has answered once
	Replicas         int           `mapstructure:"replicas"`           // among whom limits are shared in an outage if the store never told, at least 1
	DenyCache        bool          `mapstructure:"deny_cache"`         // with StoreRedis, answer what was refused before without asking again, for up to 100 ms
	Leases           bool          `mapstructure:"leases"`             // with StoreRedis, take tokens of hot buckets ahead
	MemoryMaxBuckets int           `mapstructure:"memory_max_buckets"` // buckets that the memory store keeps, at least 1
	StateDir         string        `mapstructure:"state_dir"`          // keeps what is set through the API with StoreMemory; empty: nothing does

	RedisPasswordFile string `mapstructure:"redis_password_file"` // in place of the URL's password; empty: that is used
	RedisCA           string `mapstructure:"redis_ca"`            // PEM file of who signs the certificates of servers; empty: the system's authorities
	RedisCert         string `mapstructure:"redis_cert"`          // PEM file that servers are shown; empty: none is
	RedisKey          string `mapstructure:"redis_key"`           // PEM file of its key

	AdminToken      Secret `mapstructure:"admin_token"`       // of an operator; empty, and without a file: none is needed on the same machine
	AdminTokensFile string `mapstructure:"admin_tokens_file"` // file of tokens with roles and names, each as a hash; empty: there is none
	HTTPCert        string `mapstructure:"http_cert"`         // PEM file; empty: the HTTP port has no TLS
	HTTPKey         string `mapstructure:"http_key"`          // PEM file of its key
	HTTPClientCA    string `mapstructure:"http_client_ca"`    // PEM file of who signs certificates of callers of the API; empty: nobody

	ReceiptKey   Secret        `mapstructure:"receipt_key"`   // signs receipts, the same in all replicas; empty: weir sees to one
	Headers      string        `mapstructure:"headers"`       // HeadersOff, HeadersDraft10 or HeadersLegacy
	ShowDegraded string        `mapstructure:"show_degraded"` // DegradedOff, DegradedInHeader or DegradedInMetadata
	RetryJitter  time.Duration `mapstructure:"retry_jitter"`  // Retry-After is up to this much later than needed

	OnExcess         string `mapstructure:"on_excess"`           // ExcessDeny or ExcessAllow: the verdict on a request beyond what is judged
	MaxDescriptors   int    `mapstructure:"max_descriptors"`     // most descriptors of a request that are judged; this and the bounds below are at least 1
	MaxEntries       int    `mapstructure:"max_entries"`         // most entries of a descriptor
	MaxKeyBytes      int    `mapstructure:"max_key_bytes"`       // of an entry
	MaxValueBytes    int    `mapstructure:"max_value_bytes"`     // of an entry
	MaxMessageBytes  int    `mapstructure:"max_message_bytes"`   // of a request
	MaxInFlight      int    `mapstructure:"max_in_flight"`       // requests that are judged at a time, without those that wait
	MaxInFlightBytes int    `mapstructure:"max_in_flight_bytes"` // of all requests that are judged or wait
	MaxWaiters       int    `mapstructure:"max_waiters"`         // requests that wait at a time

	GRPCReflection       bool          `mapstructure:"grpc_reflection"`        // describe the services to grpcurl and the like
	GRPCKeepaliveTime    time.Duration `mapstructure:"grpc_keepalive_time"`    // silence after which a connection is pinged, at least 1s
	GRPCKeepaliveTimeout time.Duration `mapstructure:"grpc_keepalive_timeout"` // wait for the ping's answer before the connection is closed
	GRPCCert             string        `mapstructure:"grpc_cert"`              // PEM file; empty: the gRPC port has no TLS
	GRPCKey              string        `mapstructure:"grpc_key"`               // PEM file of its key
	GRPCClientCA         string        `mapstructure:"grpc_client_ca"`         // PEM file of who signs certificates of clients; empty: they need none
	GRPCClientNames      string        `mapstructure:"grpc_client_names"`      // of which a client's certificate must have one, with commas between; empty: any
	GRPCSecretFile       string        `mapstructure:"grpc_secret_file"`       // of secrets of which each call must have one; empty: calls need none

	GRPCMaxStreams            int           `mapstructure:"grpc_max_streams"`              // calls under way on one connection, at least 1
	GRPCMaxConnectionAge      time.Duration `mapstructure:"grpc_max_connection_age"`       // age at which a client is asked to connect anew; 0 is never
	GRPCMaxConnectionAgeGrace time.Duration `mapstructure:"grpc_max_connection_age_grace"` // time for the calls under way on such a connection

	DrainDelay   time.Duration `mapstructure:"drain_delay"`   // how long weir goes on serving after it reports NOT_SERVING
	DrainTimeout time.Duration `mapstructure:"drain_timeout"` // how long calls under way may then take before they are cut off

	EventsWebhook string `mapstructure:"events_webhook"` // URL that events are posted to, empty: none
	EventsStream  string `mapstructure:"events_stream"`  // Redis stream that events are added to, empty: none

	DecisionLog          string `mapstructure:"decision_log"`            // DecisionLogOff, DecisionLogRefused or DecisionLogAll
	DecisionLogSample    int    `mapstructure:"decision_log_sample"`     // of the admitted calls one in so many is logged, at least 1
	DecisionLogPerSecond int    `mapstructure:"decision_log_per_second"` // most lines, at least 1

	Tracing       string  `mapstructure:"tracing"`        // TracingOff, TracingGRPC or TracingHTTP
	TracingSample float64 `mapstructure:"tracing_sample"` // share of the calls without a trace context that is traced, 0 to 1

	LogLevel string `mapstructure:"log_level"` // debug, info, warn or error
}

// Values of [Settings.Store].
const (
	StoreMemory = "memory" // buckets live and die with the process
	StoreRedis  = "redis"  // buckets are shared by all replicas on one Redis or Valkey
)

// Values of [Settings.Headers].
const (
	HeadersOff     = "off"
	HeadersDraft10 = "draft10" // RateLimit and RateLimit-Policy
	HeadersLegacy  = "legacy"  // X-RateLimit-Limit, -Remaining and -Reset
)

// Values of [Settings.ShowDegraded].
const (
	DegradedOff        = "off"
	DegradedInHeader   = "header"   // X-RateLimit-Degraded
	DegradedInMetadata = "metadata" // degraded
)

// Values of [Settings.OnExcess].
const (
	ExcessDeny  = "deny"
	ExcessAllow = "allow"
)

// Values of [Settings.DecisionLog].
const (
	DecisionLogOff     = "off"
	DecisionLogRefused = "refused" // and those that failed
	DecisionLogAll     = "all"     // and a sample of those that were admitted
)

// Values of [Settings.Tracing].
const (
	TracingOff  = "off"
	TracingGRPC = "otlp-grpc"
	TracingHTTP = "otlp-http"
)

// Level is LogLevel as the logger takes it.
func (s Settings) Level() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(s.LogLevel)) != nil {
		return slog.LevelInfo
	}
	return level
}
