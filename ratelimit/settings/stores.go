package settings

import (
	"time"

	"github.com/weir-rls/weir/internal/config"
)

// Redis is one Redis, of whatever topology.
type Redis struct {
	SocketType          string        `env:"SOCKET_TYPE" envDefault:"unix" usage:"unix or tcp: what the URL of a single server is."`
	Type                string        `env:"TYPE" envDefault:"SINGLE" usage:"single, sentinel or cluster, in any case."`
	URL                 config.Secret `env:"URL" usage:"HOST:PORT or the path of a socket; for sentinel MASTER,HOST:PORT,HOST:PORT; for cluster HOST:PORT,HOST:PORT. redis://USER:PASSWORD@HOST:PORT is understood, too."`
	PoolSize            int           `env:"POOL_SIZE" envDefault:"10" usage:"Most connections; 0 is ten a processor."`
	Auth                config.Secret `env:"AUTH" usage:"PASSWORD or USER:PASSWORD."`
	AuthFile            string        `env:"AUTH_FILE" usage:"File that has the same, read for each connection anew; in place of the one above." own:"true"`
	TLS                 bool          `env:"TLS" envDefault:"false" usage:"Speak TLS."`
	Cert                string        `env:"TLS_CLIENT_CERT" usage:"Certificate, PEM, that Redis is shown. A replaced file is used from the next connection on, as are the two below."`
	Key                 string        `env:"TLS_CLIENT_KEY" usage:"Private key of that certificate, PEM."`
	CA                  string        `env:"TLS_CACERT" usage:"Authorities, PEM, that sign Redis's certificate, beside those of the system."`
	SkipHostname        bool          `env:"TLS_SKIP_HOSTNAME_VERIFICATION" envDefault:"false" usage:"Accept whatever name Redis's certificate has; who signed it is verified."`
	SentinelAuth        config.Secret `env:"SENTINEL_AUTH" usage:"PASSWORD or USER:PASSWORD of the sentinels."`
	Timeout             time.Duration `env:"TIMEOUT" envDefault:"10s" usage:"Longest wait for a connection, and for an answer."`
	OpTimeout           time.Duration `env:"OP_TIMEOUT" envDefault:"1s" usage:"Longest wait for an answer; never beyond the caller's deadline." own:"true"`
	PipelineWindow      time.Duration `env:"PIPELINE_WINDOW" envDefault:"0s" usage:"Time in which commands are collected." unused:"requests that come together go to Redis together, without waiting for more"`
	PipelineLimit       int           `env:"PIPELINE_LIMIT" envDefault:"0" usage:"Most commands that are collected." unused:"requests that come together go to Redis together, without waiting for more"`
	PipelineParallelism int           `env:"CLUSTER_PIPELINE_PARALLELISM" envDefault:"1" usage:"How many nodes of a cluster are asked at a time." unused:"the nodes of a cluster are asked at the same time"`
	PoolOnEmpty         string        `env:"POOL_ON_EMPTY_BEHAVIOR" envDefault:"WAIT" usage:"What is done when all connections are in use." unused:"a connection is waited for, as long as an answer may take"`
}

// RedisShared is what both Redises share.
type RedisShared struct {
	HealthByConnections bool          `env:"HEALTH_CHECK_ACTIVE_CONNECTION" envDefault:"false" usage:"Not healthy while Redis does not answer. Otherwise the service is healthy once Redis has answered."`
	StartupFirst        time.Duration `env:"STARTUP_INITIAL_INTERVAL" envDefault:"1s" usage:"Pause before Redis is tried again at the start, the first time."`
	StartupMost         time.Duration `env:"STARTUP_MAX_INTERVAL" envDefault:"30s" usage:"Longest such pause."`
	StartupEnd          time.Duration `env:"STARTUP_MAX_ELAPSED_TIME" envDefault:"0s" usage:"How long Redis is tried at the start before the service gives up and exits; 0 is without end."`
	PerSecond           bool          `env:"PERSECOND" envDefault:"false" usage:"Count limits by the second in a Redis of their own, by the REDIS_PERSECOND_ variables."`
	CloseOnReadOnly     bool          `env:"CLOSE_CONNECTION_ON_READONLY_ERROR" envDefault:"false" usage:"End a connection to a master that has become a replica." unused:"that is always done"`
}

// Memcached is accepted and has no effect.
type Memcached struct {
	HostPort     []string      `env:"HOST_PORT" usage:"Addresses." unused:"there is no memcached backend"`
	MaxIdle      int           `env:"MAX_IDLE_CONNS" envDefault:"2" usage:"Most idle connections." unused:"there is no memcached backend"`
	SRV          string        `env:"SRV" usage:"SRV record of the addresses." unused:"there is no memcached backend"`
	SRVRefresh   time.Duration `env:"SRV_REFRESH" envDefault:"0s" usage:"How often the record is looked up." unused:"there is no memcached backend"`
	TLS          bool          `env:"TLS" envDefault:"false" usage:"Speak TLS." unused:"there is no memcached backend"`
	Cert         string        `env:"TLS_CLIENT_CERT" usage:"Certificate." unused:"there is no memcached backend"`
	Key          string        `env:"TLS_CLIENT_KEY" usage:"Its key." unused:"there is no memcached backend"`
	CA           string        `env:"TLS_CACERT" usage:"Authorities." unused:"there is no memcached backend"`
	SkipHostname bool          `env:"TLS_SKIP_HOSTNAME_VERIFICATION" envDefault:"false" usage:"Accept any name." unused:"there is no memcached backend"`
}

// Tracing is where spans go; the OTEL_EXPORTER_OTLP_ variables name the collector.
type Tracing struct {
	Enabled    bool    `env:"ENABLED" envDefault:"false" usage:"Send OpenTelemetry traces to the collector that the OTEL_EXPORTER_OTLP_ variables name."`
	Service    string  `env:"SERVICE_NAME" envDefault:"RateLimit" usage:"service.name of the spans."`
	Namespace  string  `env:"SERVICE_NAMESPACE" usage:"service.namespace of the spans."`
	InstanceID string  `env:"SERVICE_INSTANCE_ID" usage:"service.instance.id of the spans; a random one unless given."`
	Protocol   string  `env:"EXPORTER_PROTOCOL" envDefault:"http" usage:"http or grpc."`
	Sample     float64 `env:"SAMPLING_RATE" envDefault:"1" usage:"Share of the calls that is traced, from 0 to 1, of those that come without a trace context."`
}

// Weir is what the reference does not have.
type Weir struct {
	AllOrNothing     bool          `env:"ALL_OR_NOTHING" envDefault:"false" usage:"Keep all rules as they are while anything in them has an error, as the reference does; otherwise only the domains that have one keep theirs."`
	ReferenceMetrics bool          `env:"REFERENCE_METRICS" envDefault:"true" usage:"Keep statistics under the reference's names; false: of Prometheus's series only weir's own."`
	DrainDelay       time.Duration `env:"DRAIN_DELAY" envDefault:"5s" usage:"How long to go on serving as not healthy after SIGTERM, so that callers notice."`
	DrainTimeout     time.Duration `env:"DRAIN_TIMEOUT" envDefault:"20s" usage:"How long the calls under way may then take before they are cut off."`
	MaxBuckets       int           `env:"MEMORY_MAX_BUCKETS" envDefault:"1000000" usage:"Most counters kept in memory with BACKEND_TYPE=memory; beyond them new values of a limit share one."`
}
