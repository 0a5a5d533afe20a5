package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Consistent tells of settings that need one another, all at once.
func (s Settings) Consistent() error {
	var faults []error
	need := func(name string, stated bool, other string, there bool) {
		if stated && !there {
			faults = append(faults, fmt.Errorf("--%s needs --%s: give it too, or leave both out", name, other))
		}
	}
	need("http-cert", s.HTTPCert != "", "http-key", s.HTTPKey != "")
	need("http-key", s.HTTPKey != "", "http-cert", s.HTTPCert != "")
	need("http-client-ca", s.HTTPClientCA != "", "http-cert", s.HTTPCert != "")
	need("grpc-cert", s.GRPCCert != "", "grpc-key", s.GRPCKey != "")
	need("grpc-key", s.GRPCKey != "", "grpc-cert", s.GRPCCert != "")
	need("grpc-client-ca", s.GRPCClientCA != "", "grpc-cert", s.GRPCCert != "")
	need("grpc-client-names", s.GRPCClientNames != "", "grpc-client-ca", s.GRPCClientCA != "")
	need("redis-cert", s.RedisCert != "", "redis-key", s.RedisKey != "")
	need("redis-key", s.RedisKey != "", "redis-cert", s.RedisCert != "")
	private := strings.HasPrefix(s.RedisURL.Reveal(), "rediss://")
	need("redis-ca", s.RedisCA != "", "redis-url=rediss://...", private)
	need("redis-cert", s.RedisCert != "", "redis-url=rediss://...", private)
	need("redis-password-file", s.RedisPasswordFile != "", "store=redis", s.Store == StoreRedis)
	need("redis-ca", s.RedisCA != "", "store=redis", s.Store == StoreRedis)
	need("redis-cert", s.RedisCert != "", "store=redis", s.Store == StoreRedis)
	if s.RedisPasswordFile != "" && s.RedisURL.hasPassword() {
		faults = append(faults, errors.New("--redis-url and --redis-password-file both have a password: leave one out"))
	}
	need("rules-ads-cert", s.RulesADSCert != "", "rules-ads-key", s.RulesADSKey != "")
	need("rules-ads-key", s.RulesADSKey != "", "rules-ads-cert", s.RulesADSCert != "")
	need("rules-ads-cert", s.RulesADSCert != "", "rules-ads-ca", s.RulesADSCA != "")
	need("rules-ads-server-name", s.RulesADSServerName != "", "rules-ads-ca", s.RulesADSCA != "")
	need("rules-ads-ca", s.RulesADSCA != "", "rules-ads", s.RulesADS != "")
	need("rules-ads-metadata", s.RulesADSMetadata != "", "rules-ads", s.RulesADS != "")
	need("rules-ads-headers", s.RulesADSHeaders != "", "rules-ads", s.RulesADS != "")
	if s.Rules != "" && s.RulesADS != "" {
		faults = append(faults, errors.New("--rules and --rules-ads both say where rules come from: leave one out"))
	}
	need("events-stream", s.EventsStream != "", "store=redis", s.Store == StoreRedis)
	if s.StateDir != "" && s.Store == StoreRedis {
		faults = append(faults, errors.New("--state-dir means nothing with --store=redis, which keeps what is set through the API: leave it out"))
	}
	if (s.DecisionLog == DecisionLogRefused || s.DecisionLog == DecisionLogAll) && s.Level() > slog.LevelInfo {
		faults = append(faults, fmt.Errorf("--decision-log=%s writes lines of level info, which --log-level=%s leaves out: set --log-level=info", s.DecisionLog, s.LogLevel))
	}
	return errors.Join(faults...)
}
