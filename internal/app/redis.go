package app

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/files"
	"github.com/weir-rls/weir/internal/telemetry"
)

// openRedis is the shared store with the certificates and the password that files hold,
// of which each new connection uses what they say then.
func openRedis(s config.Settings, tracing *telemetry.Tracing, log *slog.Logger) (*redis.Store, error) {
	o := redis.Options{Traced: flights(tracing)}
	if s.RedisCA != "" || s.RedisCert != "" {
		secure := files.Client{Server: "Redis", Pair: pair("redis", s.RedisCert, s.RedisKey), Authorities: authorities("redis-ca", s.RedisCA), Log: log}
		current, err := secure.Open()
		if err != nil {
			return nil, err
		}
		o.TLS = current
	}
	if s.RedisPasswordFile != "" {
		f := &files.Replaced[string]{
			What: "the password for Redis", Names: []string{s.RedisPasswordFile}, Log: log,
			Read: func() (string, error) { return readPassword(s.RedisPasswordFile) },
		}
		if err := f.Open(); err != nil {
			return nil, err
		}
		o.Credentials = func() (user, password string) { return "", f.Current() }
	}
	return redis.OpenWith(s.RedisURL.Reveal(), o)
}

func readPassword(file string) (string, error) {
	text, err := os.ReadFile(file)
	text = bytes.TrimRight(text, "\r\n")
	if err == nil && len(text) == 0 {
		err = errors.New("there is no password in it")
	}
	if err != nil {
		return "", fmt.Errorf("the password (--redis-password-file): %w", err)
	}
	return string(text), nil
}

// remedy tells what may help where Redis cannot be used, by what its or the connection's
// error says.
func remedy(err error) string {
	text := err.Error()
	says := func(any ...string) bool {
		for _, one := range any {
			if strings.Contains(text, one) {
				return true
			}
		}
		return false
	}
	switch {
	case says("x509: certificate signed by unknown authority"):
		return "name the authorities that sign Redis's certificate with --redis-ca"
	case says("wants a certificate", "tls: certificate required", "tls: bad certificate", "tls: unknown certificate authority"):
		return "Redis wants a certificate that its authorities signed: give --redis-cert and --redis-key"
	case says("NOAUTH", "WRONGPASS"):
		return "name the user in --redis-url, and his password there or in --redis-password-file"
	case says("NOPERM"):
		return "give the user the rights that docs/how-to/redis.md lists"
	case says("connection reset by peer", "broken pipe", "EOF"): // why is lost where it ends the connection before it is told
		return "it ended the connection: check --redis-url, where rediss:// is TLS and redis:// is none, and if it wants a certificate of its clients give --redis-cert and --redis-key"
	}
	return "check --redis-url, where rediss:// is TLS and redis:// is none, and that the server runs and can be reached"
}
