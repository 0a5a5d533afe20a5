package ratelimit

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/weir-rls/weir/ratelimit/settings"
)

// listen opens a port that two settings state. One that is taken is an error: whoever shared
// it would get a part of the other's calls.
func listen(what, hostSetting, host, portSetting string, port int) (net.Listener, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("open the %s port (%s, %s): %w", what, hostSetting, portSetting, err)
	}
	return listener, nil
}

func listenHTTP(s settings.Server) (net.Listener, error) {
	return listen("HTTP", "HOST", s.Host, "PORT", s.Port)
}

func listenDebug(s settings.Server) (net.Listener, error) {
	return listen("debug", "DEBUG_HOST", s.DebugHost, "DEBUG_PORT", s.DebugPort)
}

func listenGRPC(s settings.Server) (net.Listener, error) {
	if s.GRPCSocket == "" {
		return listen("gRPC", "GRPC_HOST", s.GRPCHost, "GRPC_PORT", s.GRPCPort)
	}
	removeLeft(s.GRPCSocket)
	listener, err := net.Listen("unix", s.GRPCSocket)
	if err != nil {
		return nil, fmt.Errorf("open the gRPC socket (GRPC_UDS): %w", err)
	}
	return listener, nil
}

// removeLeft removes a socket that a process left when it was killed: one that nobody
// listens at.
func removeLeft(socket string) {
	info, err := os.Lstat(socket)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().Type() != fs.ModeSocket {
		return
	}
	if conn, err := net.DialTimeout("unix", socket, time.Second); err == nil {
		conn.Close()
		return
	}
	_ = os.Remove(socket) // if it stays, listening fails and says so
}

// newHTTP serves pages, and bounds how long a client may take for its request and for the
// answer; without an end for answers that are profiles, which take as long as is asked for.
func newHTTP(pages http.Handler, answer time.Duration, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: pages, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: answer, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
	}
}
