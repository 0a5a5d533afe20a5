package redis

import (
	"cmp"
	"context"
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
//	unix://user:password@/path/of/a/socket?db=0                       one server on this machine
//
// rediss:// is the same over TLS. User and password are those of the servers with the
// buckets; Sentinels have the parameters sentinel_username and sentinel_password.
// Other parameters set the connection pools, of each server: pool_size (10 a processor unless
// given), min_idle_conns, dial_timeout (1s unless given) and what else go-redis
// reads.
func Open(address string) (*Store, error) { return OpenWith(address, Options{}) }

// Options are what connections need that a URL does not say. Each is asked for every
// new connection, so that what was replaced is used without a restart.
type Options struct {
	// TLS has authorities and the certificate of this client; nil: the authorities of the
	// system and none. It needs a rediss:// URL. It is of the Sentinels too.
	TLS func() *tls.Config
	// Credentials are used in place of the URL's, an empty user of which is that of the URL;
	// nil: the URL's are. The Sentinels have their own.
	Credentials func() (user, password string)
	// Patience is how long a call may take, a second if it is less. To cut a call off closes
	// its connection.
	Patience time.Duration
	// Prefix begins the key of the bucket that [Store.Probe] takes from.
	Prefix string
	// Traced is told of each batch in which somebody's call is followed, before it is sent,
	// and what it answers is called when all of it is answered. nil: nothing is followed.
	Traced func(Flight) (landed func())
}

// OpenWith is [Open] with what the URL does not say.
func OpenWith(address string, o Options) (*Store, error) {
	client, way, err := o.connect(address)
	var syntax *url.Error
	switch {
	case errors.As(err, &syntax): // quotes the URL, which may hold a password
		return nil, errors.New("the Redis URL cannot be read: write it as redis://user:password@host:6379/0")
	case err != nil:
		return nil, fmt.Errorf("the Redis URL: %w", err)
	}
	s := New(client)
	s.client.way, s.traced, s.probe = way, o.Traced, probeOf(o.Prefix)
	s.queue.patience = max(patience, o.Patience)
	return s, nil
}

// connect makes a client that sends nothing twice and notices deadlines.
func (o Options) connect(address string) (Client, *dialer, error) {
	logging.Disable() // go-redis writes a line of its own for each failed call, and all it says is in the errors
	u, err := url.Parse(address)
	if err == nil {
		err = checkCounts(u.Query())
	}
	if err != nil {
		return nil, nil, err
	}
	if o.TLS != nil && u.Scheme != "rediss" {
		return nil, nil, errors.New("certificates are of no use without TLS: write rediss:// at its beginning")
	}
	switch query := u.Query(); {
	case query.Has("cluster") && query.Has("master_name"):
		return nil, nil, errors.New("a Cluster has no Sentinels: leave out cluster or master_name")
	case query.Has("master_name"):
		return o.connectSentinels(*u, query)
	case query.Get("cluster") == "true":
		return o.connectCluster(*u, query)
	case query.Has("cluster"):
		return nil, nil, errors.New("write cluster=true, or leave it out for a single server")
	case query.Has("addr"):
		return nil, nil, errors.New("a single server has one address: add cluster=true, or the master_name that Sentinels know")
	}
	c, err := goredis.ParseURL(address)
	if err != nil {
		return nil, nil, err
	}
	// A lost answer is not a lost call, so nothing is tried again: the next request dials.
	// Without the context's deadline one of 50 ms would be noticed after the read timeout.
	c.MaxRetries, c.ContextTimeoutEnabled, c.DialerRetries, c.DisableIdentity = -1, true, 1, true
	c.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c.DialTimeout, c.Protocol = cmp.Or(c.DialTimeout, time.Second), cmp.Or(c.Protocol, resp2)
	way := newDialer(c.TLSConfig, o.TLS, c.DialTimeout)
	c.Dialer, c.CredentialsProviderContext = way.dial, o.credentials(c.Username)
	return goredis.NewClient(c), way, nil
}

func (o Options) connectSentinels(u url.URL, query url.Values) (Client, *dialer, error) {
	user, password := query.Get("sentinel_username"), query.Get("sentinel_password")
	query.Del("sentinel_username")
	query.Del("sentinel_password")
	u.RawQuery = query.Encode()
	c, err := goredis.ParseFailoverURL(u.String())
	if err != nil {
		return nil, nil, err
	}
	if c.MasterName == "" {
		return nil, nil, errors.New("master_name is empty: write the name that the Sentinels know the master by")
	}
	c.Username, c.Password = c.SentinelUsername, c.SentinelPassword
	c.SentinelUsername, c.SentinelPassword = user, password
	c.MaxRetries, c.ContextTimeoutEnabled, c.DialerRetries, c.DisableIdentity = -1, true, 1, true
	c.DialTimeout, c.Protocol = cmp.Or(c.DialTimeout, time.Second), cmp.Or(c.Protocol, resp2)
	way := newDialer(c.TLSConfig, o.TLS, c.DialTimeout)
	c.Dialer, c.CredentialsProviderContext = way.dial, o.credentials(c.Username)
	return goredis.NewFailoverClient(c), way, nil
}

// connectCluster follows the redirections of the nodes: what was redirected was not
// done. What may have been done is not sent again, see [onceCmd].
func (o Options) connectCluster(u url.URL, query url.Values) (Client, *dialer, error) {
	query.Del("cluster")
	if path := u.Path; path != "" && path != "/" && path != "/0" {
		return nil, nil, errors.New("a Cluster has the database 0 alone: leave out the path")
	}
	u.Path, u.RawQuery = "", query.Encode()
	c, err := goredis.ParseClusterURL(u.String())
	if err != nil {
		return nil, nil, err
	}
	c.MaxRetries, c.ContextTimeoutEnabled, c.DialerRetries, c.DisableIdentity = -1, true, 1, true
	c.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c.DialTimeout, c.Protocol = cmp.Or(c.DialTimeout, time.Second), cmp.Or(c.Protocol, resp2)
	way := newDialer(c.TLSConfig, o.TLS, c.DialTimeout)
	c.Dialer, c.CredentialsProviderContext = way.dial, o.credentials(c.Username)
	c.MinRetryBackoff, c.MaxRetryBackoff = -1, -1 // a pipeline that was redirected would pause, as one command does not
	c.DisableRoutingPolicies = true               // which COMMAND tells, to a user who may ask: no command here needs one
	return goredis.NewClusterClient(c), way, nil
}

// resp2 is the protocol: nothing here needs RESP3 and its push messages.
const resp2 = 2

// credentials are those of the next connection, nil: those of the URL.
func (o Options) credentials(user string) func(context.Context) (string, string, error) {
	if o.Credentials == nil {
		return nil
	}
	return func(context.Context) (string, string, error) {
		name, password := o.Credentials()
		return cmp.Or(name, user), password, nil
	}
}
