package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisCounters are what a Redis or Valkey has counted since it began.
type RedisCounters struct {
	CPU        time.Duration    // user and system
	Commands   map[string]int64 // calls by command, those that scripts made included
	UsedMemory int64            // bytes
}

// Redis asks a Redis for its counters.
type Redis struct{ client *redis.Client }

// OpenRedis connects to the Redis of a redis:// or rediss:// URL.
func OpenRedis(url string) (*Redis, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("--redis-url: it is no redis://[USER:PASSWORD@]HOST:PORT/DB") // err may quote the password
	}
	return &Redis{redis.NewClient(options)}, nil
}

// Close ends the connection.
func (r *Redis) Close() { _ = r.client.Close() }

// Counters are the counters of now.
func (r *Redis) Counters(ctx context.Context) (RedisCounters, error) {
	text, err := r.client.Info(ctx, "all").Result()
	if err != nil {
		return RedisCounters{}, fmt.Errorf("ask Redis for its counters: %w", err)
	}
	return parseInfo(text)
}

// parseInfo reads the answer to INFO all.
func parseInfo(text string) (RedisCounters, error) {
	counters := RedisCounters{Commands: map[string]int64{}}
	found := 0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		var err error
		switch {
		case name == "used_cpu_sys" || name == "used_cpu_user":
			var seconds float64
			seconds, err = strconv.ParseFloat(value, 64)
			counters.CPU += time.Duration(seconds * float64(time.Second))
			found++
		case name == "used_memory":
			counters.UsedMemory, err = strconv.ParseInt(value, 10, 64)
			found++
		case strings.HasPrefix(name, "cmdstat_"):
			calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			counters.Commands[strings.TrimPrefix(name, "cmdstat_")], err = strconv.ParseInt(calls, 10, 64)
		}
		if err != nil {
			return RedisCounters{}, fmt.Errorf("read Redis's counters: %s: %w", name, err)
		}
	}
	const wanted = 3
	if found != wanted {
		return RedisCounters{}, fmt.Errorf("read Redis's counters: its INFO lacks CPU times or memory")
	}
	return counters, nil
}

// Since is what was counted after earlier, with the memory of now. Commands that were not called are
// left out, and so are those of measuring and connecting.
func (c RedisCounters) Since(earlier RedisCounters) RedisCounters {
	diff := RedisCounters{CPU: c.CPU - earlier.CPU, Commands: map[string]int64{}, UsedMemory: c.UsedMemory}
	for name, calls := range c.Commands {
		first, _, _ := strings.Cut(name, "|")
		if first == "info" || first == "hello" || first == "client" {
			continue
		}
		if n := calls - earlier.Commands[name]; n > 0 {
			diff.Commands[name] = n
		}
	}
	return diff
}

// scripts are the commands that run others, which Redis counts like those that
// clients send.
var scripts = []string{"evalsha", "eval", "evalsha_ro", "eval_ro", "fcall", "fcall_ro"}

// Sent is how many commands clients sent: the scripts where there were any,
// for what they called cannot be told from what was sent beside them, else all.
func (c RedisCounters) Sent() int64 {
	var inScripts, all int64
	for _, name := range scripts {
		inScripts += c.Commands[name]
	}
	for _, n := range c.Commands {
		all += n
	}
	if inScripts > 0 {
		return inScripts
	}
	return all
}
