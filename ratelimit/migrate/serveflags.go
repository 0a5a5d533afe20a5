package migrate

import (
	"cmp"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-rls/weir/ratelimit/settings"
)

func say(variables string, flags func(s *settings.Settings) []string, why string) group {
	return group{variables, counterpart{flags: flags, why: why}}
}

// no is variables that nothing says, and why.
func no(variables, why string) group { return group{variables, counterpart{why: why}} }

// overADS are flags that only a control plane has a use for.
func overADS(flags func(x *settings.XDS) []string) func(s *settings.Settings) []string {
	return func(s *settings.Settings) []string {
		if s.Rules.Type != settings.FromXDS {
			return nil
		}
		return flags(&s.XDS)
	}
}

const notOverADS = "nothing reads it unless CONFIG_TYPE is GRPC_XDS_SOTW, and over TLS if it is about TLS"

var ruleGroups = []group{
	no("RUNTIME_ROOT RUNTIME_SUBDIRECTORY RUNTIME_APPDIRECTORY", ""),
	no("RUNTIME_WATCH_ROOT", ""),
	no("RUNTIME_IGNOREDOTFILES", ""),
	say("MERGE_DOMAIN_CONFIG", func(s *settings.Settings) []string {
		return on(s.Rules.MergeDomains && s.Rules.Type == settings.FromXDS, "--merge-domains")
	}, ""),
	say("FORCE_START_WITHOUT_INITIAL_CONFIG", func(s *settings.Settings) []string {
		return on(s.Rules.ForceStart, "--wait-for-rules=false")
	}, ""),
	no("HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED", "weir is not ready until rules were loaded, unless --wait-for-rules=false"),
	say("CONFIG_TYPE CONFIG_GRPC_XDS_SERVER_URL", overADS(func(x *settings.XDS) []string { return given("rules-ads", x.Address) }), ""),
	say("CONFIG_GRPC_XDS_NODE_ID", overADS(func(x *settings.XDS) []string { return given("rules-ads-node", x.NodeID) }), notOverADS),
	say("CONFIG_GRPC_XDS_NODE_METADATA", overADS(func(x *settings.XDS) []string {
		var pairs []string
		stated := x.Pairs()
		for _, key := range slices.Sorted(maps.Keys(stated)) {
			pairs = append(pairs, key+"="+stated[key])
		}
		return given("rules-ads-metadata", strings.Join(pairs, ","))
	}), notOverADS),
	say("CONFIG_GRPC_XDS_SERVER_USE_TLS CONFIG_GRPC_XDS_SERVER_TLS_CACERT", overADS(func(x *settings.XDS) []string {
		return unless(!x.UseTLS, "rules-ads-ca", cmp.Or(x.CA, "/etc/ssl/certs/ca-certificates.crt"))
	}), notOverADS),
	say("CONFIG_GRPC_XDS_CLIENT_TLS_CERT CONFIG_GRPC_XDS_CLIENT_TLS_KEY", overADS(func(x *settings.XDS) []string {
		if !x.UseTLS || x.Cert == "" || x.Key == "" {
			return nil
		}
		return []string{flag("rules-ads-cert", x.Cert), flag("rules-ads-key", x.Key)}
	}), notOverADS),
	say("CONFIG_GRPC_XDS_SERVER_TLS_SAN", overADS(func(x *settings.XDS) []string {
		return unless(!x.UseTLS || x.ServerSAN == "", "rules-ads-server-name", x.ServerSAN)
	}), notOverADS),
	say("XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES", overADS(func(x *settings.XDS) []string {
		return unless(x.MaxBytes == 0, "rules-ads-max-bytes", min(x.MaxBytes, 256<<20))
	}), notOverADS),
	say("XDS_CLIENT_BACKOFF_MAX_INTERVAL", overADS(func(x *settings.XDS) []string {
		return unless(x.BackoffMost < time.Second || x.BackoffMost == time.Minute, "rules-ads-longest-pause", duration(x.BackoffMost))
	}), ""),
	no("CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS", "set WEIR_RULES_ADS_HEADERS to them, as NAME=VALUE,...: a flag would be seen by every user of the machine"),
	no("CONFIG_GRPC_XDS_SERVER_CONNECT_RETRY_INTERVAL XDS_CLIENT_BACKOFF_INITIAL_INTERVAL XDS_CLIENT_BACKOFF_RANDOM_FACTOR XDS_CLIENT_BACKOFF_JITTER",
		"a lost control plane is tried again after half a second, and then after twice as long each time, less up to a half by chance"),
}

var serverGroups = []group{
	say("GRPC_HOST GRPC_PORT", func(s *settings.Settings) []string {
		return address("grpc-listen", s.Server.GRPCHost, s.Server.GRPCPort, 8081)
	}, ""),
	no("GRPC_UDS", "weir serve has no Unix domain socket: --grpc-listen 127.0.0.1:8081 is reached from the same machine alone"),
	say("HOST PORT", func(s *settings.Settings) []string { return address("http-listen", s.Server.Host, s.Server.Port, 8080) }, ""),
	no("DEBUG_HOST DEBUG_PORT", "there is no debug port: the rules, limits and metrics are on the HTTP port, /api/v1, /dashboard and /metrics"),
	say("GRPC_MAX_CONNECTION_AGE", func(s *settings.Settings) []string {
		return unless(s.Server.MaxConnectionAge == 24*time.Hour, "grpc-max-connection-age", duration(s.Server.MaxConnectionAge))
	}, ""),
	say("GRPC_MAX_CONNECTION_AGE_GRACE", func(s *settings.Settings) []string {
		grace := s.Server.MaxConnectionAgeGrace
		return unless(grace == 0 || grace == time.Hour, "grpc-max-connection-age-grace", duration(grace))
	}, "30s of --grpc-max-connection-age-grace are enough for calls that are answered at once"),
	say("GRPC_SERVER_USE_TLS GRPC_SERVER_TLS_CERT GRPC_SERVER_TLS_KEY", func(s *settings.Settings) []string {
		if !s.Server.UseTLS {
			return nil
		}
		return []string{flag("grpc-cert", s.Server.Cert), flag("grpc-key", s.Server.Key)}
	}, "nothing reads it unless GRPC_SERVER_USE_TLS is true"),
	say("GRPC_CLIENT_TLS_CACERT", func(s *settings.Settings) []string {
		return unless(!s.Server.UseTLS || s.Server.ClientCA == "", "grpc-client-ca", s.Server.ClientCA)
	}, "nothing reads it unless GRPC_SERVER_USE_TLS is true"),
	say("GRPC_CLIENT_TLS_SAN", func(s *settings.Settings) []string {
		return unless(!s.Server.UseTLS || s.Server.ClientCA == "" || s.Server.ClientSAN == "", "grpc-client-names", s.Server.ClientSAN)
	}, "nothing reads it unless GRPC_SERVER_USE_TLS is true and GRPC_CLIENT_TLS_CACERT is set"),
}

// duration is a duration as one would write it.
func duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// address is where a port listens.
func address(name, host string, port, otherwise int) []string {
	if host == "0.0.0.0" || host == "::" {
		host = ""
	}
	return unless(host == "" && port == otherwise, name, net.JoinHostPort(host, strconv.Itoa(port)))
}

var otherGroups = []group{
	{"LIMIT_RESPONSE_HEADERS_ENABLED LIMIT_LIMIT_HEADER LIMIT_REMAINING_HEADER LIMIT_RESET_HEADER", counterpart{func(s *settings.Settings) []string {
		form := "draft10"
		if strings.EqualFold(s.Limits.LimitHeader, "X-RateLimit-Limit") {
			form = "legacy"
		}
		return unless(!s.Limits.Headers, "headers", form)
	}, "", "of the headers only two forms can be had: draft10 is RateLimit and RateLimit-Policy, legacy is X-RateLimit-Limit, -Remaining and -Reset"}},
	say("LOG_LEVEL", func(s *settings.Settings) []string {
		level := strings.ToLower(s.Log.Severity().String())
		if s.Log.Severity() < -4 {
			level = "debug"
		}
		return given("log-level", level)
	}, ""),
	no("LOG_FORMAT", "the log is JSON, one object a line"),
	say("TRACING_ENABLED TRACING_EXPORTER_PROTOCOL", func(s *settings.Settings) []string {
		return unless(!s.Tracing.Enabled, "tracing", "otlp-"+s.Tracing.Protocol)
	}, "nothing reads it unless TRACING_ENABLED is true"),
	say("TRACING_SAMPLING_RATE", func(s *settings.Settings) []string {
		return unless(!s.Tracing.Enabled, "tracing-sample", s.Tracing.Sample)
	}, "nothing reads it unless TRACING_ENABLED is true"),
	no("TRACING_SERVICE_NAME", "set OTEL_SERVICE_NAME to the same"),
	no("TRACING_SERVICE_NAMESPACE", "set OTEL_RESOURCE_ATTRIBUTES=service.namespace=NAME"),
	no("TRACING_SERVICE_INSTANCE_ID", "set OTEL_RESOURCE_ATTRIBUTES=service.instance.id=ID"),
	no("SHADOW_MODE", "where it is true, shadow_mode: true stands beside every limit that weir migrate writes: over ADS the control plane has to send it"),
	no("QUOTA_MODE", "where it is true, quota_mode: true stands beside every limit that weir migrate writes: over ADS the control plane has to send it"),
	no("RESPONSE_DYNAMIC_METADATA", "weir's dynamic metadata has other names, and is always sent"),
	no("STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT", "what is refused is never charged, to any limit of the request"),
	no("LOCAL_CACHE_SIZE_IN_BYTES", "--deny-cache, which is on, remembers what was refused for 100 ms at most"),
	no("NEAR_LIMIT_RATIO", "no metric counts what is near a limit: remaining tokens are in the API"),
	no("CACHE_KEY_PREFIX", "keys have no prefix: a number of a database at the end of --redis-url keeps them apart"),
	no("EXPIRATION_JITTER_MAX_SECONDS", "a key lives as long as what it counts matters"),
	no("USE_STATSD STATSD_HOST STATSD_PORT EXTRA_TAGS STATS_FLUSH_INTERVAL DISABLE_STATS USE_DOG_STATSD USE_DOG_STATSD_MOGRIFIERS",
		"metrics are Prometheus's, on the HTTP port under /metrics, and nothing is sent anywhere"),
	no("USE_PROMETHEUS PROMETHEUS_ADDR PROMETHEUS_PATH", "metrics are on the HTTP port, under /metrics"),
	no("PROMETHEUS_MAPPER_YAML PROMETHEUS_RESPONSE_TIME_AS_MILLISECONDS", "metrics have names of weir's own, with labels: docs/reference/metrics.md"),
	no("MEMCACHE_HOST_PORT MEMCACHE_MAX_IDLE_CONNS MEMCACHE_SRV MEMCACHE_SRV_REFRESH MEMCACHE_TLS MEMCACHE_TLS_CLIENT_CERT MEMCACHE_TLS_CLIENT_KEY MEMCACHE_TLS_CACERT MEMCACHE_TLS_SKIP_HOSTNAME_VERIFICATION",
		"there is no memcached: give --store redis and --redis-url"),
}
