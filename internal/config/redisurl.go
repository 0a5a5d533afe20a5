package config

import (
	"net/url"
	"strconv"
	"strings"
)

// RedisURL says which Redis to use and may hold a password. Printed, logged or
// marshalled it shows no user and no password.
type RedisURL string

// String is the URL without what may be secret. Of a text that is no such URL
// it shows no more than the scheme, for nobody can tell what else is in it.
func (u RedisURL) String() string {
	parsed, err := url.Parse(string(u))
	if err != nil || parsed.Opaque != "" || redisURL(string(u)) != "" {
		if scheme, _, ok := strings.Cut(string(u), "://"); ok && isRedisScheme(scheme) {
			return scheme + "://***"
		}
		return "***"
	}
	user := ""
	if parsed.User != nil {
		user = "***@"
	}
	return parsed.Scheme + "://" + user + parsed.Host + parsed.EscapedPath()
}

// Reveal is the whole URL, for whoever connects to it.
func (u RedisURL) Reveal() string { return string(u) }

func (u RedisURL) hasPassword() bool {
	parsed, err := url.Parse(string(u))
	if err != nil {
		return false
	}
	_, has := parsed.User.Password()
	return has
}

// GoString is String for %#v.
func (u RedisURL) GoString() string { return strconv.Quote(u.String()) }

// MarshalText is String for JSON and slog.
func (u RedisURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

func isRedisScheme(scheme string) bool { return scheme == "redis" || scheme == "rediss" }

// redisURL says what is wrong with a URL, in words that repeat no part of it.
func redisURL(value any) string {
	const remedy = "is not the URL of a Redis: write redis://HOST:PORT/DB, with USER:PASSWORD@ before the host where one is needed and their special characters percent-encoded"
	u, err := url.Parse(value.(string))
	if err != nil || !isRedisScheme(u.Scheme) || u.Hostname() == "" || u.Fragment != "" {
		return remedy
	}
	if port := u.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return remedy
		}
	}
	if db := strings.TrimPrefix(u.Path, "/"); db != "" {
		if _, err := strconv.ParseUint(db, 10, 31); err != nil {
			return remedy
		}
	}
	return ""
}
