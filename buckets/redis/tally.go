package redis

import (
	"context"
	"fmt"
)

// Sums that nobody asks for during a minute are forgotten.
var addTally = newScript(`
local sums = {}
for i = 1, #ARGV do
  sums[i] = redis.call('HINCRBY', KEYS[1], i, ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], 60000)
return sums
`)

// Tally adds to sums that all replicas share, in one step, and answers them. Equal
// names are the same sums.
func (s *Store) Tally(ctx context.Context, name string, add []int64) ([]int64, error) {
	args := make([]any, 0, 1+len(add))
	args = append(args, "{weir.tally}/"+name)
	for _, n := range add {
		args = append(args, n)
	}
	sums, err := addTally.run(ctx, s.client, 1, args)
	if err != nil {
		return nil, fmt.Errorf("add to the tally of %s in Redis: %w", name, withDeadline(ctx, err))
	}
	return sums, nil
}
