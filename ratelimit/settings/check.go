package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"
)

// check tells of values that can be read and cannot be used.
func (s Settings) check() error {
	var faults []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	_, known := levels[strings.ToLower(s.Log.Level)]
	wrong(!known, "LOG_LEVEL: %.80q is none of trace, debug, info, warn, warning, error, fatal, panic", s.Log.Level)
	wrong(s.Rules.Type != FromFiles && s.Rules.Type != FromXDS, "CONFIG_TYPE: %.80q is neither %s nor %s", s.Rules.Type, FromFiles, FromXDS)
	for _, port := range []struct {
		name   string
		number int
	}{{"PORT", s.Server.Port}, {"DEBUG_PORT", s.Server.DebugPort}, {"GRPC_PORT", s.Server.GRPCPort}, {"STATSD_PORT", s.Stats.StatsdPort}} {
		wrong(port.number < 0 || port.number > math.MaxUint16, "%s: %d is no port: give one from 0 to 65535", port.name, port.number)
	}
	wrong(s.Server.UseTLS && (s.Server.Cert == "" || s.Server.Key == ""), "GRPC_SERVER_USE_TLS needs GRPC_SERVER_TLS_CERT and GRPC_SERVER_TLS_KEY")
	wrong(s.Limits.Backend == "memcache", "BACKEND_TYPE: there is no memcached backend, whose counts are lost when calls meet: set %s and REDIS_URL, or, for one replica, %s, which needs nothing else", BackendRedis, BackendMemory)
	switch s.Limits.Backend {
	case BackendRedis, BackendMemory, "memcache":
	default:
		wrong(true, "BACKEND_TYPE: %.80q is neither %s nor %s", s.Limits.Backend, BackendRedis, BackendMemory)
	}
	ratio := float64(s.Limits.NearLimitRatio)
	wrong(!(ratio >= 0) || math.IsInf(ratio, 0), "NEAR_LIMIT_RATIO: %v is no share of a limit: give a number from 0 to 1", ratio)
	wrong(!(s.Tracing.Sample >= 0 && s.Tracing.Sample <= 1), "TRACING_SAMPLING_RATE: %v is not from 0 to 1", s.Tracing.Sample)
	wrong(s.Tracing.Enabled && s.Tracing.Protocol != "http" && s.Tracing.Protocol != "grpc", "TRACING_EXPORTER_PROTOCOL: %.80q is neither http nor grpc", s.Tracing.Protocol)
	wrong(!(s.XDS.BackoffRandom >= 0 && s.XDS.BackoffRandom <= 1), "XDS_CLIENT_BACKOFF_RANDOM_FACTOR: %v is not from 0 to 1", s.XDS.BackoffRandom)
	wrong(s.XDS.MaxBytes < 0, "XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES: %d is below 0", s.XDS.MaxBytes)
	wrong(s.Limits.LocalCache < 0, "LOCAL_CACHE_SIZE_IN_BYTES: %d is below 0", s.Limits.LocalCache)
	wrong(s.Weir.MaxBuckets < 1, "WEIR_MEMORY_MAX_BUCKETS: %d is below 1", s.Weir.MaxBuckets)
	return errors.Join(append(faults, s.checkDurations(), s.checkSinks(), s.checkRedis())...)
}

func (s Settings) checkDurations() error {
	var faults []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"GRPC_MAX_CONNECTION_AGE", s.Server.MaxConnectionAge},
		{"GRPC_MAX_CONNECTION_AGE_GRACE", s.Server.MaxConnectionAgeGrace},
		{"XDS_CLIENT_BACKOFF_INITIAL_INTERVAL", s.XDS.BackoffFirst},
		{"XDS_CLIENT_BACKOFF_MAX_INTERVAL", s.XDS.BackoffMost},
		{"REDIS_TIMEOUT", s.Redis.Timeout},
		{"REDIS_PERSECOND_TIMEOUT", s.PerSecond.Timeout},
		{"REDIS_OP_TIMEOUT", s.Redis.OpTimeout},
		{"REDIS_PERSECOND_OP_TIMEOUT", s.PerSecond.OpTimeout},
		{"REDIS_STARTUP_INITIAL_INTERVAL", s.RedisShared.StartupFirst},
		{"REDIS_STARTUP_MAX_INTERVAL", s.RedisShared.StartupMost},
		{"REDIS_STARTUP_MAX_ELAPSED_TIME", s.RedisShared.StartupEnd},
		{"WEIR_DRAIN_DELAY", s.Weir.DrainDelay},
		{"WEIR_DRAIN_TIMEOUT", s.Weir.DrainTimeout},
	} {
		if d.value < 0 {
			faults = append(faults, fmt.Errorf("%s: %s is below 0", d.name, d.value))
		}
	}
	if s.Stats.FlushInterval <= 0 {
		faults = append(faults, fmt.Errorf("STATS_FLUSH_INTERVAL: %s is not above 0", s.Stats.FlushInterval))
	}
	return errors.Join(faults...)
}

// checkSinks refuses statistics that go to two places, as the reference does.
func (s Settings) checkSinks() error {
	var sinks []string
	for _, sink := range []struct {
		name string
		on   bool
	}{{"USE_STATSD", s.Stats.UseStatsd}, {"USE_DOG_STATSD", s.Stats.UseDogStatsd}, {"USE_PROMETHEUS", s.Stats.UsePrometheus}} {
		if sink.on {
			sinks = append(sinks, sink.name)
		}
	}
	if s.Stats.Disable || len(sinks) < 2 {
		return nil
	}
	return fmt.Errorf("statistics go to one place, and %s are all on: set all but one to false (USE_STATSD is on unless it is set)", strings.Join(sinks, " and "))
}

func (s Settings) checkRedis() error {
	if s.Limits.Backend != BackendRedis {
		return nil
	}
	faults := []error{s.Redis.check("REDIS_")}
	if s.RedisShared.PerSecond {
		faults = append(faults, s.PerSecond.check("REDIS_PERSECOND_"))
	}
	return errors.Join(faults...)
}

func (r Redis) check(prefix string) error {
	var faults []error
	if r.SocketType != "unix" && r.SocketType != "tcp" {
		faults = append(faults, fmt.Errorf("%sSOCKET_TYPE: %.80q is neither unix nor tcp", prefix, r.SocketType))
	}
	switch strings.ToLower(r.Type) {
	case "single", "sentinel", "cluster":
	default:
		faults = append(faults, fmt.Errorf("%sTYPE: %.80q is none of single, sentinel, cluster", prefix, r.Type))
	}
	if r.PoolSize < 0 {
		faults = append(faults, fmt.Errorf("%sPOOL_SIZE: %d is below 0", prefix, r.PoolSize))
	}
	return errors.Join(faults...)
}

// levels are the severities of LOG_LEVEL. What ends the service is logged as an error.
var levels = map[string]slog.Level{
	"trace": slog.LevelDebug - 4, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "warning": slog.LevelWarn,
	"error": slog.LevelError, "fatal": slog.LevelError, "panic": slog.LevelError,
}

// Severity is the least that is logged.
func (l Log) Severity() slog.Level { return levels[strings.ToLower(l.Level)] }

// JSON tells whether the log is JSON.
func (l Log) JSON() bool { return strings.EqualFold(l.Format, "json") }

// OnCluster tells that hits are counted in a Redis Cluster, all of them or those by the
// second.
func (s Settings) OnCluster() bool {
	cluster := func(r Redis) bool { return strings.EqualFold(r.Type, "cluster") }
	return s.Limits.Backend == BackendRedis && (cluster(s.Redis) || s.RedisShared.PerSecond && cluster(s.PerSecond))
}

// Pairs are what CONFIG_GRPC_XDS_NODE_METADATA says. What is no pair is left out.
func (x XDS) Pairs() map[string]string {
	pairs := map[string]string{}
	for entry := range strings.SplitSeq(x.NodeMetadata, ",") {
		if key, value, ok := strings.Cut(entry, "="); ok {
			pairs[key] = value
		}
	}
	return pairs
}
