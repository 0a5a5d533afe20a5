package migrate

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/weir-rls/weir/ratelimit/settings"
)

// passwordFile is where the password of REDIS_AUTH is to be written: flags are seen by
// every user of the machine.
const passwordFile = "/etc/weir/redis-password"

var redisGroups = []group{
	say("BACKEND_TYPE", func(s *settings.Settings) []string {
		return unless(s.Limits.Backend != settings.BackendRedis, "store", "redis")
	}, "there is no memcached: give --store redis and --redis-url, or nothing for one replica, which then counts in memory"),
	say("REDIS_SOCKET_TYPE REDIS_TYPE REDIS_URL REDIS_POOL_SIZE REDIS_TLS", func(s *settings.Settings) []string {
		return given("redis-url", redisURL(s))
	}, "weir serve reaches Redis over TCP: give --redis-url redis://HOST:PORT"),
	{"REDIS_AUTH", counterpart{func(s *settings.Settings) []string {
		return unless(s.Redis.Auth == "" || redisURL(s) == "", "redis-password-file", passwordFile)
	}, "write the password into a file and name it with --redis-password-file", "write its password into " + passwordFile + ", which is read again for every connection"}},
	{"REDIS_AUTH_FILE", counterpart{func(s *settings.Settings) []string {
		return unless(s.Redis.AuthFile == "" || s.Redis.Auth != "" || redisURL(s) == "", "redis-password-file", s.Redis.AuthFile)
	}, "REDIS_AUTH stands in its place", "it must hold the password alone: --redis-url names the user"}},
	no("REDIS_SENTINEL_AUTH", "give it in WEIR_REDIS_URL, as sentinel_username=USER&sentinel_password=PASSWORD"),
	say("REDIS_TLS_CLIENT_CERT REDIS_TLS_CLIENT_KEY", func(s *settings.Settings) []string {
		if !s.Redis.TLS || s.Redis.Cert == "" || s.Redis.Key == "" {
			return nil
		}
		return []string{flag("redis-cert", s.Redis.Cert), flag("redis-key", s.Redis.Key)}
	}, "nothing reads it unless REDIS_TLS is true"),
	say("REDIS_TLS_CACERT", func(s *settings.Settings) []string {
		return unless(!s.Redis.TLS || s.Redis.CA == "", "redis-ca", s.Redis.CA)
	}, "nothing reads it unless REDIS_TLS is true"),
	no("REDIS_TLS_SKIP_HOSTNAME_VERIFICATION", "the certificate must have the name that --redis-url has"),
	say("REDIS_HEALTH_CHECK_ACTIVE_CONNECTION", func(s *settings.Settings) []string {
		return on(s.RedisShared.HealthByConnections && s.Limits.Backend == settings.BackendRedis, "--wait-for-store")
	}, ""),
	no("REDIS_TIMEOUT", "it bounded connecting alone: --store-timeout bounds every question to Redis, 10 ms unless given"),
	say("REDIS_OP_TIMEOUT", func(s *settings.Settings) []string {
		return unless(s.Redis.OpTimeout < time.Millisecond || s.Redis.OpTimeout == time.Second, "store-timeout", duration(s.Redis.OpTimeout))
	}, ""),
	no("REDIS_STARTUP_INITIAL_INTERVAL REDIS_STARTUP_MAX_INTERVAL REDIS_STARTUP_MAX_ELAPSED_TIME", "weir starts without Redis and goes on trying; --wait-for-store has it not ready until then"),
	no("REDIS_PIPELINE_WINDOW REDIS_PIPELINE_LIMIT REDIS_CLUSTER_PIPELINE_PARALLELISM REDIS_POOL_ON_EMPTY_BEHAVIOR REDIS_CLOSE_CONNECTION_ON_READONLY_ERROR",
		"requests of one moment go to Redis together, connections are waited for, and one to a former master is closed"),
	no("REDIS_PERSECOND REDIS_PERSECOND_SOCKET_TYPE REDIS_PERSECOND_TYPE REDIS_PERSECOND_URL REDIS_PERSECOND_POOL_SIZE REDIS_PERSECOND_AUTH REDIS_PERSECOND_TLS REDIS_PERSECOND_SENTINEL_AUTH REDIS_PERSECOND_PIPELINE_WINDOW REDIS_PERSECOND_PIPELINE_LIMIT REDIS_PERSECOND_CLUSTER_PIPELINE_PARALLELISM REDIS_PERSECOND_TIMEOUT REDIS_PERSECOND_POOL_ON_EMPTY_BEHAVIOR REDIS_PERSECOND_AUTH_FILE REDIS_PERSECOND_OP_TIMEOUT "+
		"REDIS_PERSECOND_TLS_CLIENT_CERT REDIS_PERSECOND_TLS_CLIENT_KEY REDIS_PERSECOND_TLS_CACERT REDIS_PERSECOND_TLS_SKIP_HOSTNAME_VERIFICATION",
		"limits of a second are in the same store as all others, and are not asked for where leases answer"),
}

// redisURL is the reference's Redis as --redis-url names it, without a password; empty if
// it cannot.
func redisURL(s *settings.Settings) string {
	r := s.Redis
	if s.Limits.Backend != settings.BackendRedis {
		return ""
	}
	at := url.URL{Scheme: "redis", Path: "/"}
	stated, query := r.URL.Reveal(), url.Values{}
	if parsed, err := url.Parse(stated); err == nil && strings.Contains(stated, "://") {
		if parsed.Scheme != "redis" && parsed.Scheme != "rediss" {
			return ""
		}
		at.Scheme, at.Path, stated = parsed.Scheme, parsed.Path, parsed.Host
		at.User = url.User(parsed.User.Username())
	}
	hosts := strings.Split(stated, ",")
	switch kind := strings.ToLower(r.Type); {
	case kind == "sentinel" && len(hosts) > 1:
		query.Set("master_name", hosts[0])
		hosts = hosts[1:]
	case kind == "cluster":
		query.Set("cluster", "true")
	case r.SocketType != "tcp" && at.Host == "" && strings.HasPrefix(stated, "/"):
		return ""
	}
	for i, host := range hosts {
		if host = strings.TrimSpace(host); i == 0 {
			at.Host = host
		} else {
			query.Add("addr", host)
		}
	}
	if r.TLS {
		at.Scheme = "rediss"
	}
	if user, _, both := strings.Cut(r.Auth.Reveal(), ":"); both {
		at.User = url.User(user)
	}
	if at.User.Username() == "" {
		at.User = nil
	}
	if r.PoolSize != 10 && r.PoolSize > 0 {
		query.Set("pool_size", strconv.Itoa(r.PoolSize))
	}
	at.RawQuery = strings.ReplaceAll(query.Encode(), "%3A", ":")
	if at.RawQuery == "" && at.Path == "/" {
		at.Path = ""
	}
	return at.String()
}
