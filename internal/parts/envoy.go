package parts

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// EnvoyProcess is a running Envoy.
type EnvoyProcess struct {
	*Process
	Admin string // host:port of its admin interface

	listeners map[string]string
}

// StartEnvoy starts Envoy with a static bootstrap on one worker thread. dir
// holds its files and must be its own. Port 0 in the bootstrap, for the admin
// interface and for listeners, means any free port.
func StartEnvoy(binary string, bootstrap []byte, dir string) (*EnvoyProcess, error) {
	config, adminFile := filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "admin")
	if err := os.WriteFile(config, bootstrap, 0o600); err != nil {
		return nil, err
	}
	// Without --disable-hot-restart a second Envoy on the machine fails to bind
	// the domain socket of the first.
	process, err := Start(binary, dir, "-c", config, "--disable-hot-restart",
		"--concurrency", "1", "--admin-address-path", adminFile, "--log-level", "warn")
	if err != nil {
		return nil, err
	}
	e := &EnvoyProcess{Process: process}
	if err := process.await(func(ctx context.Context) error { return e.ready(ctx, adminFile) }); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *EnvoyProcess) ready(ctx context.Context, adminFile string) error {
	admin, err := os.ReadFile(adminFile)
	if err != nil {
		return err
	}
	e.Admin = strings.TrimSpace(string(admin))
	if _, err := get(ctx, "http://"+e.Admin+"/ready"); err != nil {
		return err
	}
	body, err := get(ctx, "http://"+e.Admin+"/listeners?format=json")
	if err != nil {
		return err
	}
	e.listeners, err = parseListeners(body)
	return err
}

// parseListeners reads the names and addresses of /listeners?format=json.
func parseListeners(body []byte) (map[string]string, error) {
	var answer struct {
		Statuses []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Host string `json:"address"`
					Port int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("envoy's listeners: %w", err)
	}
	listeners := map[string]string{}
	for _, s := range answer.Statuses {
		listeners[s.Name] = net.JoinHostPort(s.Address.Socket.Host, strconv.Itoa(s.Address.Socket.Port))
	}
	return listeners, nil
}

// Listener is the address, host:port, of the listener of that name, and empty
// if the bootstrap has none.
func (e *EnvoyProcess) Listener(name string) string { return e.listeners[name] }

// Stat is the value of a counter or gauge, such as
// cluster.upstream.ratelimit.error. Envoy makes some only when they first
// count: one that is absent is 0, and so is a misspelt one, so that a zero
// proves nothing without another figure beside it.
func (e *EnvoyProcess) Stat(name string) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	body, err := get(ctx, "http://"+e.Admin+"/stats?filter="+url.QueryEscape("^"+regexp.QuoteMeta(name)+"$"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, nil
}

// ValidateEnvoy lets Envoy load the bootstrap without running it. dir holds its
// files. The error is Envoy's own.
func ValidateEnvoy(binary string, bootstrap []byte, dir string) error {
	config := filepath.Join(dir, "validate.yaml")
	if err := os.WriteFile(config, bootstrap, 0o600); err != nil {
		return err
	}
	output, err := exec.Command(binary, "--mode", "validate", "--log-level", "error", "-c", config).CombinedOutput()
	if err != nil {
		return fmt.Errorf("envoy --mode validate: %w\n%s", err, output)
	}
	return nil
}
