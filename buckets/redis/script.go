package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by SHA-1, nothing is secured by it
	_ "embed"
	"encoding/hex"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed lua/bucket.lua
var bucketLua string

//go:embed lua/take1.lua
var take1Lua string

//go:embed lua/take.lua
var takeLua string

var (
	takeOne  = newScript(bucketLua + take1Lua) // one charge that takes
	takeMany = newScript(bucketLua + takeLua)  // any charges
)

// script is a Lua script as a value. It is sent once to each server and called
// by its digest from then on.
type script struct {
	source string
	digest string
}

func newScript(source string) script {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // see the import
	return script{source: source, digest: hex.EncodeToString(sum[:])}
}

// run calls the script. A server that does not know it yet, because it was
// restarted or its scripts were flushed, refuses before anything has run: this
// refusal alone is answered with a second call.
func (s script) run(ctx context.Context, client Client, keys int, args []any) ([]int64, error) {
	reply, err := s.call(ctx, client, "evalsha", s.digest, keys, args)
	if goredis.HasErrorPrefix(err, "NOSCRIPT") { // the texts differ between Redis and Valkey
		reply, err = s.call(ctx, client, "eval", s.source, keys, args)
	}
	return reply, err
}

func (s script) call(ctx context.Context, client Client, verb, script string, keys int, args []any) ([]int64, error) {
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
