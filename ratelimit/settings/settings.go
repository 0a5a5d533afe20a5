// Package settings reads the environment variables of envoyproxy/ratelimit, under
// their names, with their defaults, and as it reads them.
package settings

import (
	"time"

	"github.com/weir-rls/weir/internal/config"
)

// Settings are all variables by subject. A field's tags are its variable, its default,
// what it means here, of one that is accepted and has no effect why, and whether the
// reference does not have it. A variable that is set to nothing counts as not set.
type Settings struct {
	Server      Server      `group:"Server"`
	Log         Log         `group:"Logging"`
	Rules       Rules       `group:"Rules"`
	XDS         XDS         `group:"Rules from a control plane"`
	Stats       Stats       `group:"Statistics"`
	Limits      Limits      `group:"Limits"`
	Redis       Redis       `group:"Redis" envPrefix:"REDIS_"`
	RedisShared RedisShared `group:"Redis: health and start" envPrefix:"REDIS_"`
	PerSecond   Redis       `group:"Redis for limits by the second" usage:"Its certificates are those of the variables REDIS_TLS_ unless it has one of its own." envPrefix:"REDIS_PERSECOND_"`
	Memcached   Memcached   `group:"Memcached" envPrefix:"MEMCACHE_"`
	Tracing     Tracing     `group:"Tracing" envPrefix:"TRACING_"`
	Weir        Weir        `group:"Of weir alone" envPrefix:"WEIR_"`
}

// Server is where the service listens, and to whom.
type Server struct {
	Host                  string        `env:"HOST" envDefault:"0.0.0.0" usage:"Address of the HTTP port."`
	Port                  int           `env:"PORT" envDefault:"8080" usage:"The HTTP port, of /healthcheck and /json."`
	DebugHost             string        `env:"DEBUG_HOST" envDefault:"0.0.0.0" usage:"Address of the debug port."`
	DebugPort             int           `env:"DEBUG_PORT" envDefault:"6070" usage:"The debug port, of /rlconfig, /stats and /debug/pprof/."`
	GRPCSocket            string        `env:"GRPC_UDS" usage:"Path of a Unix domain socket for gRPC, in place of GRPC_HOST and GRPC_PORT."`
	GRPCHost              string        `env:"GRPC_HOST" envDefault:"0.0.0.0" usage:"Address of the gRPC port."`
	GRPCPort              int           `env:"GRPC_PORT" envDefault:"8081" usage:"The gRPC port, which Envoy asks."`
	MaxConnectionAge      time.Duration `env:"GRPC_MAX_CONNECTION_AGE" envDefault:"24h" usage:"Age at which a client is asked to connect anew; 0 is never."`
	MaxConnectionAgeGrace time.Duration `env:"GRPC_MAX_CONNECTION_AGE_GRACE" envDefault:"1h" usage:"Time for the calls under way on a connection of that age; 0 is without end."`
	UseTLS                bool          `env:"GRPC_SERVER_USE_TLS" envDefault:"false" usage:"Serve gRPC over TLS, by GRPC_SERVER_TLS_CERT and GRPC_SERVER_TLS_KEY."`
	Cert                  string        `env:"GRPC_SERVER_TLS_CERT" usage:"Certificate of the gRPC port, PEM. A replaced file serves from the next connection on."`
	Key                   string        `env:"GRPC_SERVER_TLS_KEY" usage:"Private key of that certificate, PEM."`
	ClientCA              string        `env:"GRPC_CLIENT_TLS_CACERT" usage:"Authorities, PEM, of which each client then needs a certificate. A replaced file counts, too."`
	ClientSAN             string        `env:"GRPC_CLIENT_TLS_SAN" usage:"Name that a client's certificate must have, as DNS name or IP address; needs GRPC_CLIENT_TLS_CACERT."`
}

// Log is what is logged, and how.
type Log struct {
	Level  string `env:"LOG_LEVEL" envDefault:"WARN" usage:"Least severity that is logged: trace, debug, info, warn (or warning), error, fatal or panic, in any case."`
	Format string `env:"LOG_FORMAT" envDefault:"text" usage:"json for one object a line with @timestamp, level and @message; anything else for text."`
}

// Values of [Rules.Type].
const (
	FromFiles = "FILE"
	FromXDS   = "GRPC_XDS_SOTW"
)

// Rules is where rules come from, and what is done while there are none.
type Rules struct {
	Type               string `env:"CONFIG_TYPE" envDefault:"FILE" usage:"Where rules come from: FILE, by the RUNTIME_ variables, or GRPC_XDS_SOTW, from a control plane."`
	ForceStart         bool   `env:"FORCE_START_WITHOUT_INITIAL_CONFIG" envDefault:"false" usage:"Listen before the first rules are there. Otherwise, under GRPC_XDS_SOTW, the gRPC and HTTP ports are closed until they are."`
	Root               string `env:"RUNTIME_ROOT" envDefault:"/srv/runtime_data/current" usage:"Directory of the rule files, or the symbolic link to it that is swapped."`
	Subdirectory       string `env:"RUNTIME_SUBDIRECTORY" usage:"Directory below RUNTIME_ROOT."`
	AppDirectory       string `env:"RUNTIME_APPDIRECTORY" envDefault:"config" usage:"Directory of the rule files below the two above."`
	IgnoreDotFiles     bool   `env:"RUNTIME_IGNOREDOTFILES" envDefault:"false" usage:"Leave out files and directories whose name begins with a dot, as those that Kubernetes makes in a mounted ConfigMap."`
	WatchRoot          bool   `env:"RUNTIME_WATCH_ROOT" envDefault:"true" usage:"Read the files anew when RUNTIME_ROOT is swapped; false: when a file of the directory changes."`
	MergeDomains       bool   `env:"MERGE_DOMAIN_CONFIG" envDefault:"false" usage:"Let several files add to one domain; otherwise a domain in two files is a fault."`
	HealthyWithAConfig bool   `env:"HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED" envDefault:"false" usage:"Not healthy until rules were loaded that have a domain."`
}

// XDS is the control plane that sends the rules, under [FromXDS].
type XDS struct {
	NodeID        string                   `env:"CONFIG_GRPC_XDS_NODE_ID" envDefault:"default" usage:"What the service calls itself there, by which the control plane chooses rules."`
	NodeMetadata  string                   `env:"CONFIG_GRPC_XDS_NODE_METADATA" usage:"What it tells of itself beside: KEY=VALUE,KEY=VALUE."`
	Address       string                   `env:"CONFIG_GRPC_XDS_SERVER_URL" envDefault:"localhost:18000" usage:"HOST:PORT of the control plane."`
	RetryInterval time.Duration            `env:"CONFIG_GRPC_XDS_SERVER_CONNECT_RETRY_INTERVAL" envDefault:"3s" usage:"Pause before the control plane is tried again while nobody can be connected to."`
	Headers       map[string]config.Secret `env:"CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS" usage:"Metadata sent to the control plane with each stream, such as a token: KEY:VALUE,KEY:VALUE."`
	UseTLS        bool                     `env:"CONFIG_GRPC_XDS_SERVER_USE_TLS" envDefault:"false" usage:"Speak TLS to the control plane, 1.3 or, where it has no more, 1.2."`
	Cert          string                   `env:"CONFIG_GRPC_XDS_CLIENT_TLS_CERT" usage:"Certificate, PEM, that the control plane is shown. A replaced file is used from the next connection on, as are the two below."`
	Key           string                   `env:"CONFIG_GRPC_XDS_CLIENT_TLS_KEY" usage:"Private key of that certificate, PEM."`
	CA            string                   `env:"CONFIG_GRPC_XDS_SERVER_TLS_CACERT" usage:"Authorities, PEM, that sign the control plane's certificate, beside those of the system."`
	ServerSAN     string                   `env:"CONFIG_GRPC_XDS_SERVER_TLS_SAN" usage:"Name that the control plane's certificate must have; the host of CONFIG_GRPC_XDS_SERVER_URL unless given."`
	BackoffFirst  time.Duration            `env:"XDS_CLIENT_BACKOFF_INITIAL_INTERVAL" envDefault:"10s" usage:"Pause before a lost connection is tried again, the first time."`
	BackoffMost   time.Duration            `env:"XDS_CLIENT_BACKOFF_MAX_INTERVAL" envDefault:"60s" usage:"Longest such pause; each is longer than the one before."`
	BackoffRandom float64                  `env:"XDS_CLIENT_BACKOFF_RANDOM_FACTOR" envDefault:"0.5" usage:"Share of a pause by which it is longer or shorter by chance, from 0 to 1."`
	BackoffJitter bool                     `env:"XDS_CLIENT_BACKOFF_JITTER" envDefault:"true" usage:"Whether pauses are longer or shorter by chance at all."`
	MaxBytes      int                      `env:"XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES" envDefault:"0" usage:"Largest response, in bytes; 0 is 4194304."`
}

// Stats is where statistics go.
type Stats struct {
	UseStatsd      bool              `env:"USE_STATSD" envDefault:"true" usage:"Send statistics to statsd over TCP."`
	StatsdHost     string            `env:"STATSD_HOST" envDefault:"localhost" usage:"Host of statsd, or of the DogStatsD agent."`
	StatsdPort     int               `env:"STATSD_PORT" envDefault:"8125" usage:"Port there."`
	ExtraTags      map[string]string `env:"EXTRA_TAGS" usage:"Tags of every statistic: KEY:VALUE,KEY:VALUE."`
	FlushInterval  time.Duration     `env:"STATS_FLUSH_INTERVAL" envDefault:"10s" usage:"How often statistics are sent."`
	Disable        bool              `env:"DISABLE_STATS" envDefault:"false" usage:"Send none, whatever the other variables say."`
	UseDogStatsd   bool              `env:"USE_DOG_STATSD" envDefault:"false" usage:"Send statistics to a DogStatsD agent over UDP; needs USE_STATSD=false."`
	MogrifierNames []string          `env:"USE_DOG_STATSD_MOGRIFIERS" usage:"Names X of rewritings of statistics for DogStatsD, each by DOG_STATSD_MOGRIFIER_X_PATTERN, _NAME and _TAGS: X,Y."`
	Mogrifiers     []Mogrifier       `env:"-"` // of those names
	UsePrometheus  bool              `env:"USE_PROMETHEUS" envDefault:"false" usage:"Serve statistics to Prometheus; needs USE_STATSD=false."`
	PrometheusAddr string            `env:"PROMETHEUS_ADDR" envDefault:":9090" usage:"Where they are served."`
	PrometheusPath string            `env:"PROMETHEUS_PATH" envDefault:"/metrics" usage:"Under which path."`
	Mapper         string            `env:"PROMETHEUS_MAPPER_YAML" usage:"File that maps names of statistics to metrics and labels, as for statsd_exporter, in place of the mapping that is built in."`
	Milliseconds   bool              `env:"PROMETHEUS_RESPONSE_TIME_AS_MILLISECONDS" envDefault:"false" usage:"Serve response times in milliseconds."`
}

// Mogrifier is a rewriting of statistics, by the variables DOG_STATSD_MOGRIFIER_NAME_.
type Mogrifier struct {
	Name    string
	Pattern string            // of the names that it is for
	Metric  string            // what they become
	Tags    map[string]string // what they get
}

// Values of [Limits.Backend].
const (
	BackendRedis  = "redis"
	BackendMemory = "memory" // of weir alone
)

// Limits is how requests are judged, and what is answered.
type Limits struct {
	ExpirationJitter int     `env:"EXPIRATION_JITTER_MAX_SECONDS" envDefault:"300" usage:"Most seconds that a key in Redis lives on." unused:"a key in Redis lives as long as what it counts matters, which differs from key to key"`
	LocalCache       int     `env:"LOCAL_CACHE_SIZE_IN_BYTES" envDefault:"0" usage:"Remember what is over its limit, and refuse it again without asking Redis; 0 is not at all."`
	NearLimitRatio   float32 `env:"NEAR_LIMIT_RATIO" envDefault:"0.8" usage:"Share of a limit beyond which hits count as near it, in statistics."`
	KeyPrefix        string  `env:"CACHE_KEY_PREFIX" usage:"What every key in Redis begins with."`
	Backend          string  `env:"BACKEND_TYPE" envDefault:"redis" usage:"Where hits are counted: redis; or memory, of weir alone, in this process, for one replica. memcache is refused."`
	StopIncrement    bool    `env:"STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT" envDefault:"false" usage:"A request that is over one of its limits counts for those that it is over alone; in one step with the check, and in one round trip."`
	Headers          bool    `env:"LIMIT_RESPONSE_HEADERS_ENABLED" envDefault:"false" usage:"Answer with the three headers below."`
	LimitHeader      string  `env:"LIMIT_LIMIT_HEADER" envDefault:"RateLimit-Limit" usage:"Header of the limit."`
	RemainingHeader  string  `env:"LIMIT_REMAINING_HEADER" envDefault:"RateLimit-Remaining" usage:"Header of what is left of it."`
	ResetHeader      string  `env:"LIMIT_RESET_HEADER" envDefault:"RateLimit-Reset" usage:"Header of the seconds until it begins anew."`
	Shadow           bool    `env:"SHADOW_MODE" envDefault:"false" usage:"Answer OK whatever the limits say."`
	Quota            bool    `env:"QUOTA_MODE" envDefault:"false" usage:"Treat every limit as one of quota_mode."`
	DynamicMetadata  bool    `env:"RESPONSE_DYNAMIC_METADATA" envDefault:"false" usage:"Answer with the request and the metadata of its limits as dynamic metadata."`
}
