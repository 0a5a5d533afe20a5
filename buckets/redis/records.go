package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	goredis "github.com/redis/go-redis/v9"
)

// maxNotes is how many notes a journal holds.
const maxNotes = 1000

// Records are a few values under names that all replicas share, with one version
// for all and a journal, in three keys that do not expire: they are configuration.
// It is safe for concurrent use.
type Records struct {
	client                   *caller
	version, values, journal string // keys
}

// Records returns the records of a ledger, as in weir:live. Equal names are one
// ledger.
func (s *Store) Records(ledger string) *Records {
	tag := "{" + ledger + "}:"
	return &Records{client: s.client, version: tag + "version", values: tag + "values", journal: tag + "journal"}
}

// The version counts up, and is at least the server's clock in milliseconds: a
// server that lost its data does not give out the versions again that it gave before.
var (
	readRecords  = newScript(`return { tonumber(redis.call('GET', KEYS[1]) or 0), redis.call('HGETALL', KEYS[2]) }`)
	writeRecords = newScript(sourceOf("records"))
)

// run calls a script of which two parts answer.
func (r *Records) run(ctx context.Context, s script, keys int, args ...any) (reply []any, err error) {
	reply, err = calls(r.client, s, func(verb, script string) ([]any, error) {
		cmd := onceSlice{goredis.NewSliceCmd(ctx, append([]any{verb, script, keys}, args...)...)}
		if err := r.client.Process(ctx, cmd); err != nil {
			return nil, withDeadline(ctx, err)
		}
		return cmd.Result()
	})
	if err == nil && len(reply) != 2 {
		err = fmt.Errorf("%d parts answer, want 2", len(reply))
	}
	return reply, err
}

// onceSlice is a command that is never sent twice, like [onceCmd].
type onceSlice struct{ *goredis.SliceCmd }

func (onceSlice) NoRetry() bool { return true }

func (c onceSlice) Clone() goredis.Cmder {
	return onceSlice{c.SliceCmd.Clone().(*goredis.SliceCmd)}
}

// Version is what the last write answered, 0 before the first one.
func (r *Records) Version(ctx context.Context) (int64, error) {
	cmd := goredis.NewStringCmd(ctx, "get", r.version)
	err := r.client.Process(ctx, cmd)
	if errors.Is(err, goredis.Nil) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask Redis for %s: %w", r.version, withDeadline(ctx, err))
	}
	version, err := cmd.Int64()
	if err != nil {
		return 0, fmt.Errorf("ask Redis for %s: %w", r.version, err)
	}
	return version, nil
}

// Read answers all records, and the version that they are of.
func (r *Records) Read(ctx context.Context) (version int64, records map[string][]byte, err error) {
	reply, err := r.run(ctx, readRecords, 2, r.version, r.values)
	if err != nil {
		return 0, nil, fmt.Errorf("read %s from Redis: %w", r.values, err)
	}
	version, isNumber := reply[0].(int64)
	pairs, isList := reply[1].([]any)
	if !isNumber || !isList || len(pairs)%2 != 0 {
		return 0, nil, fmt.Errorf("read %s from Redis: %T and %T answer, want a version and pairs", r.values, reply[0], reply[1])
	}
	records = make(map[string][]byte, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		value, _ := pairs[i+1].(string)
		records[name] = []byte(value)
	}
	return version, records, nil
}

// Write sets and removes records in one atomic step and appends note to the
// journal, unless it is empty. It does nothing and answers written == false if the
// version is not expect any more. After an error nobody knows whether it was done.
func (r *Records) Write(ctx context.Context, expect int64, set map[string][]byte, remove []string, note []byte) (version int64, written bool, err error) {
	args := make([]any, 0, 7+2*len(set)+len(remove))
	args = append(args, r.version, r.values, r.journal, strconv.FormatInt(expect, 10), note, maxNotes, len(remove))
	for _, name := range remove {
		args = append(args, name)
	}
	for name, value := range set {
		args = append(args, name, value)
	}
	reply, err := r.run(ctx, writeRecords, 3, args...)
	if err != nil {
		return 0, false, fmt.Errorf("write %s to Redis: %w", r.values, err)
	}
	version, isNumber := reply[0].(int64)
	done, isFlag := reply[1].(int64)
	if !isNumber || !isFlag {
		return 0, false, fmt.Errorf("write %s to Redis: %T and %T answer, want two numbers", r.values, reply[0], reply[1])
	}
	return version, done == 1, nil
}

// Notes are the latest of the journal, newest first, at most n.
func (r *Records) Notes(ctx context.Context, n int) ([][]byte, error) {
	if n <= 0 {
		return nil, nil
	}
	cmd := goredis.NewStringSliceCmd(ctx, "lrange", r.journal, 0, n-1)
	if err := r.client.Process(ctx, cmd); err != nil {
		return nil, fmt.Errorf("read %s from Redis: %w", r.journal, withDeadline(ctx, err))
	}
	notes := make([][]byte, len(cmd.Val()))
	for i, note := range cmd.Val() {
		notes[i] = []byte(note)
	}
	return notes, nil
}
