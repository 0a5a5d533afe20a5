package parts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Redis is a running redis-server or valkey-server that keeps everything in
// memory and evicts nothing.
type Redis struct {
	*Process
	Addr string // host:port on loopback
	URL  string // redis://host:port
}

// StartRedis starts the server binary on a free loopback port. args follow
// weir's own and win over them.
func StartRedis(binary string, args ...string) (*Redis, error) {
	var errs []error
	// Another process may take the port between its choice and the server's
	// start; three times in a row would be something else.
	for range 3 {
		addr, err := FreeAddr()
		if err != nil {
			return nil, err
		}
		redis, err := StartRedisAt(binary, addr, args...)
		if err == nil {
			return redis, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// StartRedisAt is [StartRedis] on a given loopback address, so that a server
// can come back where an earlier one was.
func StartRedisAt(binary, addr string, args ...string) (*Redis, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("redis address: %w", err)
	}
	all := append([]string{
		"--bind", host, "--port", port, "--daemonize", "no",
		"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction",
	}, args...)
	process, err := Start(binary, "", all...)
	if err != nil {
		return nil, err
	}
	return answering(process, addr)
}

// answering is a server that was started at addr, once it answers there.
func answering(process *Process, addr string) (*Redis, error) {
	err := process.await(func(ctx context.Context) error { return pingRedis(ctx, addr, process.Pid()) })
	if err != nil {
		return nil, err
	}
	return &Redis{Process: process, Addr: addr, URL: "redis://" + addr}, nil
}

// StartSentinel starts the server binary as a Sentinel on a free loopback port. config is
// a file that it reads and writes.
func StartSentinel(binary, config string) (*Redis, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	process, err := Start(binary, "", config, "--sentinel", "--bind", host, "--port", port)
	if err != nil {
		return nil, err
	}
	return answering(process, addr)
}

// pingRedis tells whether the server at addr answers and is the process pid:
// where another server took the port first, it would answer as well.
func pingRedis(ctx context.Context, addr string, pid int) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "PING\r\nINFO server\r\n"); err != nil {
		return err
	}
	lines := bufio.NewScanner(conn)
	if !lines.Scan() || lines.Text() != "+PONG" {
		return fmt.Errorf("PING was answered with %q", lines.Text())
	}
	for lines.Scan() {
		id, found := strings.CutPrefix(lines.Text(), "process_id:")
		if found && id != strconv.Itoa(pid) {
			return fmt.Errorf("process %s listens on %s", id, addr)
		}
		if found {
			return nil
		}
	}
	return fmt.Errorf("INFO was not answered: %w", lines.Err())
}
