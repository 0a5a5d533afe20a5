package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
)

// maxStream is about how many entries a stream keeps: Redis drops whole nodes of
// older ones.
const maxStream = 10_000

// Append adds an entry to a stream, which is made if it is not there.
func (s *Store) Append(ctx context.Context, stream string, fields map[string]string) error {
	args := make([]any, 0, 6+2*len(fields))
	args = append(args, "xadd", stream, "maxlen", "~", maxStream, "*")
	for name, value := range fields {
		args = append(args, name, value)
	}
	if err := s.client.Process(ctx, onceString{goredis.NewStringCmd(ctx, args...)}); err != nil {
		return fmt.Errorf("append to the stream %s in Redis: %w", stream, withDeadline(ctx, err))
	}
	return nil
}

// onceString is a command that is never sent twice, like [onceCmd].
type onceString struct{ *goredis.StringCmd }

func (onceString) NoRetry() bool { return true }

func (c onceString) Clone() goredis.Cmder {
	return onceString{c.StringCmd.Clone().(*goredis.StringCmd)}
}
