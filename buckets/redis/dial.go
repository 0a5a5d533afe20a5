package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
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
	made uint64
}

// newDialer connects within a time, over TLS if secure is there.
func newDialer(secure *tls.Config, current func() *tls.Config, timeout time.Duration) *dialer {
	return &dialer{Dialer: net.Dialer{Timeout: timeout}, secure: secure, current: current, open: map[*connection]struct{}{}}
}

// dial opens a connection. Over TLS it expects of each server a certificate of its own
// name, not of the name in the URL.
func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c := &connection{of: d}
	var err error
	if d.secure == nil {
		c.Conn, err = d.DialContext(ctx, network, addr)
	} else {
		private := tls.Dialer{NetDialer: &d.Dialer, Config: d.config(c)}
		c.Conn, err = private.DialContext(ctx, network, addr)
	}
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[c] = struct{}{}
	d.made++
	if raw, is := c.Conn.(syscall.Conn); is {
		return visible{c, raw}, nil
	}
	return c, nil
}

// config is how a connection is made over TLS.
func (d *dialer) config(c *connection) *tls.Config {
	config := &tls.Config{}
	if d.current != nil {
		config = d.current().Clone()
	}
	config.MinVersion = tls.VersionTLS12
	config.InsecureSkipVerify = config.InsecureSkipVerify || d.secure.InsecureSkipVerify
	if len(config.Certificates) == 0 {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c.stranger.Store(true)
			return &tls.Certificate{}, nil
		}
	}
	return config
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

func (d *dialer) connections() Connections {
	if d == nil {
		return Connections{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return Connections{Open: len(d.open), Made: d.made, Closed: d.made - uint64(len(d.open))}
}

// connection is one that its dialer knows while it is open.
type connection struct {
	net.Conn
	of       *dialer
	stranger atomic.Bool // the server wanted a certificate, got none, and has not answered since
}

// Read implements [net.Conn].
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.stranger.Load() {
		c.stranger.Store(false)
	}
	return n, c.explain(err)
}

// Write implements [net.Conn].
func (c *connection) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.explain(err)
}

// explain tells why a server may have hung up: in TLS 1.3 it looks at a client's
// certificate when the client believes the connection made.
func (c *connection) explain(err error) error {
	if err == nil || !c.stranger.Load() || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return fmt.Errorf("the server wants a certificate, and there is none to show: %w", err)
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
