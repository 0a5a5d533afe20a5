package redis

import (
	"context"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
)

// Agree returns what all who ask for a name agree on: the proposal of the first
// one that asked. It stays until Redis loses it.
func (s *Store) Agree(ctx context.Context, name string, proposal []byte) ([]byte, error) {
	cmd := goredis.NewStringCmd(ctx, "set", name, proposal, "nx", "get")
	err := s.client.Process(ctx, cmd)
	switch {
	case errors.Is(err, goredis.Nil): // there was none
		return proposal, nil
	case err != nil:
		return nil, fmt.Errorf("agree on %s in Redis: %w", name, withDeadline(ctx, err))
	}
	return cmd.Bytes()
}
