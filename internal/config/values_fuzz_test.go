package config

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/pflag"

	"github.com/weir-rls/weir/buckets/redis"
)

// A text means the same as a flag and in the environment; one that is refused is refused in
// both, in words that name the setting and nothing that a terminal obeys or that is secret.
func FuzzSetting(f *testing.F) {
	for i, s := range table {
		for _, text := range samples(s) {
			f.Add(uint8(i), text)
		}
	}
	f.Add(uint8(0), "\x1b[31m\r\n")
	f.Fuzz(func(t *testing.T, number uint8, text string) {
		s := table[int(number)%len(table)]
		if text == "" || strings.ContainsRune(text, 0) { // not set; no environment holds it
			return
		}
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		AddFlags(flags)
		byFlag, _, flagErr := Load(flags, []string{"WEIR_CONFIG=/dev/null", s.env() + "=" + text})
		flags = pflag.NewFlagSet("test", pflag.ContinueOnError)
		AddFlags(flags)
		setErr := flags.Set(s.name, text)
		byEnv, _, envErr := Load(flags, []string{"WEIR_CONFIG=/dev/null"})
		if setErr == nil && ((flagErr == nil) != (envErr == nil) || flagErr == nil && !reflect.DeepEqual(byFlag, byEnv)) || setErr != nil && envErr == nil && flagErr == nil {
			t.Fatalf("%s: %q is %v as a flag and %v in the environment", s.name, text, envErr, flagErr)
		}
		for _, err := range []error{flagErr, envErr} {
			if err == nil {
				continue
			}
			said := err.Error()
			if !strings.Contains(said, s.name) && !strings.Contains(said, s.env()) || strings.ContainsFunc(said, unicode.IsControl) {
				t.Fatalf("%s: %q is refused with %q", s.name, text, said)
			}
			if s.secret && len(text) > 8 && strings.Contains(said, text) {
				t.Fatalf("%s: %q is told: %q", s.name, text, said)
			}
		}
	})
}

// A URL that the settings take opens a store or is refused; nothing that is said of it,
// nor its own text, shows a password.
func FuzzRedisURL(f *testing.F) {
	for _, text := range []string{
		"redis://127.0.0.1:6379/0", "rediss://u:p%40ss@[::1]:1/2?addr=a:1&cluster=true", "redis://h?master_name=m&sentinel_password=x", "redis://:p@h:x", "redis://h/9999999999",
		"redis://h?pool_size=-1", "unix:///tmp/x", "redis:opaque",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		shown := RedisURL(text).String()
		if u, err := url.Parse(text); err == nil && u.User != nil {
			if password, _ := u.User.Password(); len(password) > 8 && !strings.Contains(u.Host+u.Path, password) && strings.Contains(shown, password) {
				t.Fatalf("%q is shown as %q", text, shown)
			}
		}
		if RedisURL(shown).String() != shown && !strings.Contains(shown, "***") {
			t.Fatalf("%q is shown as %q, and that as %q", text, shown, RedisURL(shown))
		}
		if redisURL(text) != "" {
			return
		}
		store, err := redis.Open(text)
		if err == nil {
			_ = store.Close()
			return
		}
		u, _ := url.Parse(text)
		if password, _ := u.User.Password(); len(password) > 8 && strings.Contains(err.Error(), password) {
			t.Fatalf("%q is refused with %q", text, err)
		}
	})
}
