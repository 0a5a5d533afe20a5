package redis

import (
	"context"
	"fmt"
	"time"
)

// heartbeatLife is how long a heartbeat counts. Some that are lost or late do not make a
// replica vanish.
const heartbeatLife = 3 * time.Second

// One member a replica, its score the millisecond of its last heartbeat. A server
// clock that is set back counts replicas that are gone for longer, one that is set
// forth counts too few until each has beaten again.
var beat = newScript(`
local now = tonumber(ARGV[2])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local life = tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - life))
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('PEXPIRE', KEYS[1], life)
return { redis.call('ZCARD', KEYS[1]) }
`)

// Alive says that the replica id is alive and answers how many are, itself included,
// by the server's clock. A replica that has not said so
// for 3 seconds does not count any more. One that was started again under another
// id counts twice until then. After an error nobody knows how many there are.
func (s *Store) Alive(ctx context.Context, id string) (int64, error) {
	now := int64(0)
	if s.now != nil {
		now = s.now() / 1000
	}
	count, err := beat.run(ctx, s.client, 1, []any{"{weir.replicas}", id, now, heartbeatLife.Milliseconds()})
	if err != nil {
		return 0, fmt.Errorf("tell Redis that this replica is alive: %w", withDeadline(ctx, err))
	}
	if len(count) != 1 {
		return 0, fmt.Errorf("tell Redis that this replica is alive: %d numbers answer, want 1", len(count))
	}
	return count[0], nil
}
