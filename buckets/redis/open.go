package redis

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Open returns a store on the servers that a URL names. It does not
// connect, the first call does.
//
//	redis://user:password@host:6379/0                                 one server
//	redis://user:password@one:26379/0?master_name=NAME&addr=two:26379 the master of that name, wherever Sentinels at these addresses say it is
//	redis://user:password@one:6379?cluster=true&addr=two:6379         a Cluster, of which these are some nodes
//
// rediss:// is the same over TLS. User and password are those of the servers with the
// buckets; Sentinels have the parameters sentinel_username and sentinel_password.
// Other parameters set the connection pools, of each server: pool_size (10 a processor unless
// given), min_idle_conns, dial_timeout (1s unless given) and what else go-redis
// reads.
func Open(address string) (*Store, error) {
	client, err := connect(address)
	var syntax *url.Error
	switch {
	case errors.As(err, &syntax): // quotes the URL, which may hold a password
		return nil, errors.New("the Redis URL cannot be read: write it as redis://user:password@host:6379/0")
	case err != nil:
		return nil, fmt.Errorf("the Redis URL: %w", err)
	}
	return New(client), nil
}

// connect makes a client that sends nothing twice and notices deadlines.
func connect(address string) (Client, error) {
	logging.Disable() // go-redis writes a line of its own for each failed call, and all it says is in the errors
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	switch query := u.Query(); {
	case query.Has("cluster") && query.Has("master_name"):
		return nil, errors.New("a Cluster has no Sentinels: leave out cluster or master_name")
	case query.Has("master_name"):
		return connectSentinels(*u, query)
	case query.Get("cluster") == "true":
		return connectCluster(*u, query)
	case query.Has("cluster"):
		return nil, errors.New("write cluster=true, or leave it out for a single server")
	case query.Has("addr"):
		return nil, errors.New("a single server has one address: add cluster=true, or the master_name that Sentinels know")
	}
	o, err := goredis.ParseURL(address)
	if err != nil {
		return nil, err
	}
	// A lost answer is not a lost call, so nothing is tried again: the next request dials.
	// Without the context's deadline one of 50 ms would be noticed after the read timeout.
	o.MaxRetries, o.ContextTimeoutEnabled, o.DialerRetries, o.DisableIdentity = -1, true, 1, true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.DialTimeout, o.Protocol = cmp.Or(o.DialTimeout, time.Second), cmp.Or(o.Protocol, resp2)
	return goredis.NewClient(o), nil
}

func connectSentinels(u url.URL, query url.Values) (Client, error) {
	user, password := query.Get("sentinel_username"), query.Get("sentinel_password")
	query.Del("sentinel_username")
	query.Del("sentinel_password")
	u.RawQuery = query.Encode()
	o, err := goredis.ParseFailoverURL(u.String())
	if err != nil {
		return nil, err
	}
	if o.MasterName == "" {
		return nil, errors.New("master_name is empty: write the name that the Sentinels know the master by")
	}
	o.Username, o.Password = o.SentinelUsername, o.SentinelPassword
	o.SentinelUsername, o.SentinelPassword = user, password
	o.TLSConfig = ofEachServer(o.TLSConfig)
	o.MaxRetries, o.ContextTimeoutEnabled, o.DialerRetries, o.DisableIdentity = -1, true, 1, true
	o.DialTimeout, o.Protocol = cmp.Or(o.DialTimeout, time.Second), cmp.Or(o.Protocol, resp2)
	return goredis.NewFailoverClient(o), nil
}

// connectCluster follows the redirections of the nodes: what was redirected was not
// done. What may have been done is not sent again, see [onceCmd].
func connectCluster(u url.URL, query url.Values) (Client, error) {
	query.Del("cluster")
	if path := u.Path; path != "" && path != "/" && path != "/0" {
		return nil, errors.New("a Cluster has the database 0 alone: leave out the path")
	}
	u.Path, u.RawQuery = "", query.Encode()
	o, err := goredis.ParseClusterURL(u.String())
	if err != nil {
		return nil, err
	}
	o.TLSConfig = ofEachServer(o.TLSConfig)
	o.MaxRetries, o.ContextTimeoutEnabled, o.DialerRetries, o.DisableIdentity = -1, true, 1, true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.DialTimeout, o.Protocol = cmp.Or(o.DialTimeout, time.Second), cmp.Or(o.Protocol, resp2)
	return goredis.NewClusterClient(o), nil
}

// resp2 is the protocol: nothing here needs RESP3 and its push messages.
const resp2 = 2

// ofEachServer expects of each server a certificate of its own name, not of the name in
// the URL. nil stays nil: there is no TLS.
func ofEachServer(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.InsecureSkipVerify}
}
