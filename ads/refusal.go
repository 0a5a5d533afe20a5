package ads

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
)

// secured are TLS credentials whose connections tell why the server refused the client's
// certificate.
//
// In TLS 1.3 (RFC 8446, section 2) a client is done with its handshake before the server has
// looked at its certificate. A server that refuses sends an alert and closes. A client that
// is late, on a busy machine, sends to a closed connection then and learns of a broken pipe,
// while the reason is there, not yet read.
type secured struct {
	credentials.TransportCredentials
}

func newSecured(config *tls.Config) credentials.TransportCredentials {
	return secured{credentials.NewTLS(config)}
}

// ClientHandshake implements [credentials.TransportCredentials].
func (s secured) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := s.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	return refusing{conn}, info, nil
}

// Clone implements [credentials.TransportCredentials].
func (s secured) Clone() credentials.TransportCredentials {
	return secured{s.TransportCredentials.Clone()}
}

// refusing is a connection that may be refused after its handshake.
type refusing struct{ net.Conn }

// alertWithin bounds the wait for an alert on a connection that cannot be written to any
// more; one that was sent is there already.
const alertWithin = 100 * time.Millisecond

// Write implements [net.Conn]. A failure is the alert that the server sent before it closed,
// if it did. Another reader of the connection is no harm: TLS keeps an alert for all.
func (c refusing) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil {
		return n, nil
	}
	if c.SetReadDeadline(time.Now().Add(alertWithin)) != nil {
		return n, err
	}
	_, why := c.Read(make([]byte, 1))
	if alert := (*net.OpError)(nil); errors.As(why, &alert) && alert.Op == "remote error" {
		return n, why
	}
	return n, err
}
