package ads

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// Whoever is late is told why as well.
func TestADS_ARefusedCertificateIsToldToAClientThatSendsLate(t *testing.T) {
	m := newMutual(t)
	partstest.WritePair(t, partstest.NewAuthority(t).Client("weir"), m.cert, m.key)
	listener, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	refused := make(chan struct{})
	go func() {
		defer close(refused)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if err := tls.Server(conn, m.server).Handshake(); err == nil {
			t.Error("the certificate of another authority was accepted")
		}
		_ = conn.Close()
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	config, err := m.client()
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := newSecured(config).Clone().ClientHandshake(t.Context(), "envoy-gateway", raw)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-refused
	// What is written first makes the other side reset the connection, and what comes after finds it so.
	for end := time.Now().Add(10 * time.Second); err == nil && time.Now().Before(end); {
		_, err = conn.Write([]byte("PRI"))
	}
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a client whose certificate is refused is told %v", err)
	}
	_ = conn.Close()
	if _, err := conn.Write([]byte("PRI")); err == nil {
		t.Error("a closed connection can be written to")
	}
}
