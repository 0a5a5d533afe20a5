package redis

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"syscall"
	"time"
)

// dialer opens connections and knows those that are open.
type dialer struct {
	net.Dialer
	secure  *tls.Config        // nil: no TLS
	current func() *tls.Config // authorities and certificate, nil: the system's and none

	mu   sync.Mutex
	open map[*connection]struct{}
}

// newDialer connects within a time, over TLS if secure is there.
func newDialer(secure *tls.Config, current func() *tls.Config, timeout time.Duration) *dialer {
	return &dialer{Dialer: net.Dialer{Timeout: timeout}, secure: secure, current: current, open: map[*connection]struct{}{}}
}

// dial opens a connection. Over TLS it expects of each server a certificate of its own
// name, not of the name in the URL.
func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	opened, err := d.connect(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: opened, of: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[c] = struct{}{}
	if raw, is := opened.(syscall.Conn); is {
		return visible{c, raw}, nil
	}
	return c, nil
}

func (d *dialer) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.secure == nil {
		return d.DialContext(ctx, network, addr)
	}
	config := &tls.Config{}
	if d.current != nil {
		config = d.current().Clone()
	}
	config.MinVersion, config.InsecureSkipVerify = tls.VersionTLS12, d.secure.InsecureSkipVerify
	private := tls.Dialer{NetDialer: &d.Dialer, Config: config}
	return private.DialContext(ctx, network, addr)
}

// leave closes all connections: the next call asks anew whom a name means. go-redis does
// that for a connection on which a replica says READONLY, and for no other answer.
func (d *dialer) leave() {
	d.mu.Lock()
	open := d.open
	d.open = map[*connection]struct{}{}
	d.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close()
	}
}

// connection is one that its dialer knows while it is open.
type connection struct {
	net.Conn
	of *dialer
}

// Close implements [net.Conn].
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// visible is a connection of which go-redis can look whether the server has closed it: one
// without TLS.
type visible struct {
	*connection
	syscall.Conn
}
