package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by SHA-1, nothing is secured by it
	"embed"
	"encoding/hex"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed lua
var sources embed.FS

// sourceOf joins the files of a script.
func sourceOf(names ...string) string {
	var source strings.Builder
	for _, name := range names {
		text, err := sources.ReadFile("lua/" + name + ".lua")
		if err != nil {
			panic(err) // a file of this directory that the compiler did not embed
		}
		source.Write(text)
	}
	return source.String()
}

// For one bucket of the commonest kinds that is taken from.
var (
	takeTokens = newScript(sourceOf("prelude", "tokenlevel", "token1"))
	takeFixed  = newScript(sourceOf("prelude", "fixedcount", "fixed1"))
)

// takeMany is for many requests that take from token buckets alone.
var takeMany = newScript(sourceOf("prelude", "tokenlevel", "tokens"))

// judges are the scripts for any charges, by the set of kinds that they know: a
// script makes its functions anew in each call, which takes the server 0.1 us each.
var judges = func() (scripts [1 << len(kindFiles)]script) {
	for set := range scripts {
		names := []string{"prelude", "kinds"}
		for i, files := range kindFiles {
			if set&(1<<i) != 0 {
				names = append(names, files...)
			}
		}
		scripts[set] = newScript(sourceOf(append(names, "judge")...))
	}
	return scripts
}()

var kindFiles = [...][]string{{"tokenlevel", "tokenbucket"}, {"fixedcount", "fixedwindow"}, {"slidingwindow"}, {"slots"}, {"breaker"}}

// script is a Lua script as a value. It is sent once to each server and called
// by its digest from then on, where that is allowed.
type script struct {
	source string
	digest string
}

func newScript(source string) script {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // see the import
	return script{source: source, digest: hex.EncodeToString(sum[:])}
}

// run calls the script, which answers numbers.
func (s script) run(ctx context.Context, client *caller, keys int, args []any) ([]int64, error) {
	return calls(client, s, func(verb, script string) ([]int64, error) { return s.call(ctx, client, verb, script, keys, args) })
}

// calls calls a script by its digest, and with its text where the server refuses the digest.
func calls[T any](client *caller, s script, call func(verb, script string) (T, error)) (reply T, err error) {
	if !client.whole.Load() {
		if reply, err = call("evalsha", s.digest); !digestRefused(err) {
			return reply, err
		}
	}
	return call("eval", s.source)
}

func (s script) call(ctx context.Context, client *caller, verb, script string, keys int, args []any) ([]int64, error) {
	cmd := onceCmd{goredis.NewIntSliceCmd(ctx, append([]any{verb, script, keys}, args...)...)}
	if err := client.Process(ctx, cmd); err != nil {
		return nil, err
	}
	return cmd.Result()
}

// onceCmd is a command that is never sent twice. MaxRetries: -1 says so to the
// client of a single server, but the cluster client sends again whatever was
// cut off unless the command itself forbids it.
type onceCmd struct{ *goredis.IntSliceCmd }

func (onceCmd) NoRetry() bool { return true }

func (c onceCmd) Clone() goredis.Cmder {
	return onceCmd{c.IntSliceCmd.Clone().(*goredis.IntSliceCmd)}
}

// onceText is one that answers a text.
type onceText struct{ *goredis.StringCmd }

func (onceText) NoRetry() bool { return true }

func (c onceText) Clone() goredis.Cmder {
	return onceText{c.StringCmd.Clone().(*goredis.StringCmd)}
}
