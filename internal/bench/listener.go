package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ListenerOf finds the process of this machine that listens on the port of
// address, by way of /proc. It answers 0 where the address is not this
// machine's, and an error where it is and the process is not to be seen, such
// as another user's.
func ListenerOf(address string) (pid int, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	if !local(host) {
		return 0, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("port of %s: %w", address, err)
	}
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, err := os.ReadFile(table)
		if err != nil {
			return 0, err
		}
		for line := range bytes.Lines(content) {
			if inode, ok := listening(string(line), number); ok {
				inodes["socket:["+inode+"]"] = true
			}
		}
	}
	// Glob fails only for a malformed pattern.
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, path := range open {
		if target, err := os.Readlink(path); err == nil && inodes[target] {
			return strconv.Atoi(strings.Split(path, "/")[2])
		}
	}
	return 0, errors.New("no process to be seen that listens on " + address)
}

// listening reads a line of /proc/net/tcp: the inode of a socket that listens
// on port.
func listening(line string, port uint64) (inode string, ok bool) {
	fields := strings.Fields(line)
	const address, state, inodeField = 1, 3, 9
	const listen = "0A"
	if len(fields) <= inodeField || fields[state] != listen {
		return "", false
	}
	_, hexPort, _ := strings.Cut(fields[address], ":")
	n, err := strconv.ParseUint(hexPort, 16, 16)
	return fields[inodeField], err == nil && n == port
}

// local tells whether a host is this machine.
func local(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return false
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return ip.IsLoopback()
	}
	for _, a := range own {
		if network, ok := a.(*net.IPNet); ok && network.IP.Equal(ip) {
			return true
		}
	}
	return ip.IsLoopback()
}
