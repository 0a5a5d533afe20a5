package backend

import (
	"strings"
	"testing"
	"time"
)

func TestURL_EachFormNamesItsServers(t *testing.T) {
	const pool = "dial_timeout=10s&pool_size=7&read_timeout=1s&write_timeout=1s"
	for name, c := range map[string]struct {
		r    Redis
		want string
	}{
		"host and port":         {Redis{SocketType: "tcp", Type: "SINGLE", URL: "redis:6379"}, "redis://redis:6379?" + pool},
		"IPv6":                  {Redis{SocketType: "tcp", Type: "single", URL: "[::1]:6379"}, "redis://[::1]:6379?" + pool},
		"no host":               {Redis{SocketType: "tcp", Type: "single", URL: ":6379"}, "redis://localhost:6379?" + pool},
		"password":              {Redis{SocketType: "tcp", Type: "single", URL: "r:1", Auth: "p@ss/#"}, "redis://:p%40ss%2F%23@r:1?" + pool},
		"user and password":     {Redis{SocketType: "tcp", Type: "single", URL: "r:1", Auth: "ann:a:b"}, "redis://ann:a%3Ab@r:1?" + pool},
		"TLS":                   {Redis{SocketType: "tcp", Type: "Single", URL: "r:1", TLS: true}, "rediss://r:1?" + pool},
		"socket":                {Redis{SocketType: "unix", Type: "SINGLE", URL: "/run/a b?.sock", Auth: "x"}, "unix://:x@/run/a%20b%3F.sock?" + pool},
		"URL":                   {Redis{SocketType: "tcp", Type: "SINGLE", URL: "redis://ann:p%40@r:1/3"}, "redis://ann:p%40@r:1/3?" + pool},
		"URL beside the socket": {Redis{SocketType: "unix", Type: "SINGLE", URL: "redis://r"}, "redis://r:6379?" + pool},
		"URL with parameters":   {Redis{SocketType: "tcp", Type: "SINGLE", URL: "redis://[::1]?username=ann&password=p&db=2"}, "redis://ann:p@[::1]:6379/2?" + pool},
		"URL over TLS":          {Redis{SocketType: "tcp", Type: "SINGLE", URL: "rediss://r:1"}, "rediss://r:1?" + pool},
		"URL and AUTH":          {Redis{SocketType: "tcp", Type: "SINGLE", URL: "redis://ann:old@r:1", Auth: "new"}, "redis://ann:new@r:1?" + pool},
		"cluster": {
			Redis{SocketType: "unix", Type: "CLUSTER", URL: "a:1, b:2,[::1]:3,", Auth: "p"},
			"redis://:p@a:1?addr=b%3A2&addr=%5B%3A%3A1%5D%3A3&cluster=true&" + pool,
		},
		"cluster of URLs": {Redis{Type: "cluster", URL: "redis://ann:p@a:1/0,redis://ann:p@b:2"}, "redis://ann:p@a:1?addr=b%3A2&cluster=true&" + pool},
		"sentinel": {
			Redis{SocketType: "unix", Type: "Sentinel", URL: "the master,a:1,b:2", Auth: "ann:p", SentinelAuth: "bob:q"},
			"redis://ann:p@a:1?addr=b%3A2&dial_timeout=10s&master_name=the+master&pool_size=7&read_timeout=1s&sentinel_password=q&sentinel_username=bob&write_timeout=1s",
		},
		"sentinel without a password of its own": {
			Redis{Type: "sentinel", URL: "m,a:1", Auth: "p", TLS: true},
			"rediss://:p@a:1?dial_timeout=10s&master_name=m&pool_size=7&read_timeout=1s&write_timeout=1s",
		},
		"sentinel with a password in its URL": {
			Redis{Type: "sentinel", URL: "m,redis://bob:q@a:1"},
			"redis://a:1?dial_timeout=10s&master_name=m&pool_size=7&read_timeout=1s&sentinel_password=q&sentinel_username=bob&write_timeout=1s",
		},
	} {
		c.r.PoolSize, c.r.Timeout = 7, 10*time.Second
		if got, err := c.r.address("REDIS_"); err != nil || got != c.want {
			t.Errorf("%s: got %s, %v\nwant %s", name, got, err, c.want)
		}
	}
}

// A URL may hold a password, so an error repeats nothing of it.
func TestURL_AWrongFormNamesTheVariableAndTheRightOne(t *testing.T) {
	for name, c := range map[string]struct {
		r    Redis
		want []string
	}{
		"a host alone":       {Redis{SocketType: "tcp", Type: "SINGLE", URL: "hush"}, []string{"X_URL", "HOST:PORT"}},
		"nothing":            {Redis{SocketType: "tcp", Type: "SINGLE"}, []string{"X_URL", "HOST:PORT"}},
		"IPv6 bare":          {Redis{SocketType: "tcp", Type: "SINGLE", URL: "hush::1:6379"}, []string{"X_URL", "[ADDRESS]:PORT"}},
		"no port":            {Redis{SocketType: "tcp", Type: "SINGLE", URL: "hush:redis"}, []string{"X_URL", "port", "HOST:PORT"}},
		"too great a port":   {Redis{SocketType: "tcp", Type: "SINGLE", URL: "hush:65536"}, []string{"X_URL", "port"}},
		"a socket over TCP":  {Redis{SocketType: "tcp", Type: "SINGLE", URL: "/hush.sock"}, []string{"X_URL", "X_SOCKET_TYPE to unix"}},
		"TCP over a socket":  {Redis{SocketType: "unix", Type: "SINGLE", URL: "hush:6379"}, []string{"X_URL", "X_SOCKET_TYPE to tcp"}},
		"no socket":          {Redis{SocketType: "unix", Type: "SINGLE"}, []string{"X_URL", "the path of a socket"}},
		"a socket with TLS":  {Redis{SocketType: "unix", Type: "SINGLE", URL: "/hush.sock", TLS: true}, []string{"X_URL", "X_TLS"}},
		"a password with #":  {Redis{SocketType: "tcp", Type: "SINGLE", URL: "redis://:hush#x@r:1"}, []string{"X_URL", "percent-encoded"}},
		"a database by name": {Redis{SocketType: "tcp", Type: "SINGLE", URL: "redis://r:1/hush"}, []string{"X_URL", "database"}},
		"another scheme":     {Redis{SocketType: "tcp", Type: "SINGLE", URL: "http://hush:1"}, []string{"X_URL", "HOST:PORT"}},
		"a list":             {Redis{SocketType: "tcp", Type: "SINGLE", URL: "hush:1,hush:2"}, []string{"X_URL", "HOST:PORT"}},
		"no Sentinels":       {Redis{Type: "SENTINEL", URL: "hush"}, []string{"X_URL", "MASTER,HOST:PORT"}},
		"no master":          {Redis{Type: "SENTINEL", URL: ",hush:1"}, []string{"X_URL", "MASTER,HOST:PORT"}},
		"a Sentinel's URL":   {Redis{Type: "SENTINEL", URL: "m,hush:1,hush"}, []string{"X_URL", "address 2", "MASTER,HOST:PORT"}},
		"no nodes":           {Redis{Type: "CLUSTER", URL: ","}, []string{"X_URL", "HOST:PORT,HOST:PORT"}},
		"a node's database":  {Redis{Type: "CLUSTER", URL: "redis://hush:1/3"}, []string{"X_URL", "address 1", "database"}},
		"another type":       {Redis{Type: "ring", URL: "hush:1"}, []string{"X_TYPE", "SINGLE", "SENTINEL", "CLUSTER"}},
	} {
		_, err := c.r.address("X_")
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: want %q in: %v", name, want, err)
			}
		}
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the URL is in: %v", name, err)
		}
	}
}

// Whatever is waited for is bounded, also where the settings say nothing.
func TestTimeouts_BoundACall(t *testing.T) {
	for _, c := range []struct{ timeout, opTimeout, want time.Duration }{
		{0, 0, time.Second},
		{10 * time.Second, 0, time.Second},
		{10 * time.Second, 20 * time.Millisecond, 20 * time.Millisecond},
		{10 * time.Second, time.Minute, 10 * time.Second},
		{50 * time.Millisecond, 0, 50 * time.Millisecond},
		{0, 3 * time.Second, 3 * time.Second},
	} {
		r := Redis{Timeout: c.timeout, OpTimeout: c.opTimeout}
		if r.call() != c.want || r.dial() <= 0 || r.patience() < r.call() {
			t.Errorf("%+v: a call has %v, want %v; a connection %v, and it is cut after %v", c, r.call(), c.want, r.dial(), r.patience())
		}
	}
}
