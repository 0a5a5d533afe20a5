package config

import (
	"strings"
	"testing"
)

// A certificate without its key, or a state directory that nobody reads, would
// be found out by the first who needs it.
func TestSettingsThatNeedOneAnother(t *testing.T) {
	for name, c := range map[string]struct {
		settings Settings
		want     []string // nil: consistent
	}{
		"nothing":    {Settings{}, nil},
		"tls":        {Settings{HTTPCert: "c", HTTPKey: "k", HTTPClientCA: "a"}, nil},
		"no key":     {Settings{HTTPCert: "c"}, []string{"--http-cert needs --http-key"}},
		"no cert":    {Settings{HTTPKey: "k", HTTPClientCA: "a"}, []string{"--http-key needs --http-cert", "--http-client-ca needs --http-cert"}},
		"grpc":       {Settings{GRPCCert: "c", GRPCKey: "k", GRPCClientCA: "a", GRPCClientNames: "n"}, nil},
		"half grpc":  {Settings{GRPCCert: "c", GRPCClientNames: "n"}, []string{"--grpc-cert needs --grpc-key", "--grpc-client-names needs --grpc-client-ca"}},
		"grpc alone": {Settings{GRPCKey: "k", GRPCClientCA: "a"}, []string{"--grpc-key needs --grpc-cert", "--grpc-client-ca needs --grpc-cert"}},
		"no redis":   {Settings{Store: StoreMemory, EventsStream: "s", StateDir: "d"}, []string{"--events-stream needs --store=redis"}},
		"redis":      {Settings{Store: StoreRedis, EventsStream: "s"}, nil},
		"redis tls":  {Settings{Store: StoreRedis, RedisURL: "rediss://u@h", RedisCA: "a", RedisCert: "c", RedisKey: "k", RedisPasswordFile: "p"}, nil},
		"no tls": {Settings{Store: StoreRedis, RedisURL: "redis://h", RedisCA: "a", RedisCert: "c", RedisKey: "k"}, []string{
			"--redis-ca needs --redis-url=rediss://", "--redis-cert needs --redis-url=rediss://",
		}},
		"half redis":    {Settings{Store: StoreRedis, RedisURL: "rediss://h", RedisCert: "c"}, []string{"--redis-cert needs --redis-key"}},
		"redis key":     {Settings{Store: StoreRedis, RedisURL: "rediss://h", RedisKey: "k"}, []string{"--redis-key needs --redis-cert"}},
		"two passwords": {Settings{Store: StoreRedis, RedisURL: "redis://u:secret@h", RedisPasswordFile: "p"}, []string{"--redis-url and --redis-password-file both"}},
		"memory": {Settings{Store: StoreMemory, RedisURL: "rediss://h", RedisPasswordFile: "p", RedisCA: "a"}, []string{
			"--redis-password-file needs --store=redis", "--redis-ca needs --store=redis",
		}},
		"unlogged": {Settings{DecisionLog: DecisionLogAll, LogLevel: "warn"}, []string{"--decision-log=all writes lines of level info"}},
		"logged":   {Settings{DecisionLog: DecisionLogRefused, LogLevel: "info"}, nil},
		"ads":      {Settings{RulesADS: "h:1", RulesADSCA: "a", RulesADSCert: "c", RulesADSKey: "k", RulesADSServerName: "n", RulesADSMetadata: "a=b"}, nil},
		"no ads": {Settings{Rules: "f", RulesADSCA: "a", RulesADSCert: "c", RulesADSMetadata: "a=b", RulesADSHeaders: "a=b"}, []string{
			"--rules-ads-ca needs --rules-ads:", "--rules-ads-cert needs --rules-ads-key", "--rules-ads-metadata needs --rules-ads:", "--rules-ads-headers needs --rules-ads:",
		}},
		"ads in plain text": {Settings{RulesADS: "h:1", RulesADSCert: "c", RulesADSKey: "k", RulesADSServerName: "n"}, []string{
			"--rules-ads-cert needs --rules-ads-ca", "--rules-ads-server-name needs --rules-ads-ca",
		}},
		"two sources": {Settings{Rules: "f", RulesADS: "h:1"}, []string{"--rules and --rules-ads both"}},
		"two stores":  {Settings{Store: StoreRedis, StateDir: "d"}, []string{"--state-dir means nothing"}},
	} {
		err := c.settings.Consistent()
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}
