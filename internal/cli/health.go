package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-rls/weir/internal/config"
)

// healthTimeout is shorter than the time that container runtimes allow a check.
const healthTimeout = time.Second

func newHealth(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   "health",
		Short: "Ask a running weir on this machine whether it is ready",
		Long: `Ask a running weir on this machine whether it is ready: exit code 0 if it is,
1 if not. For the health check of a container; it reads the same settings as
weir serve.`,
		Args: noArguments,
	}
	config.AddFlags(command.Flags(), "http-listen", "http-cert")
	command.RunE = func(command *cobra.Command, _ []string) error {
		settings, _, err := config.Load(command.Flags(), world.Environ)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(command.Context(), healthTimeout)
		defer cancel()
		if err := askReady(ctx, settings.HTTPListen, settings.HTTPCert != ""); err != nil {
			return failureError{err}
		}
		_, err = fmt.Fprintln(world.Stdout, "ready")
		return err
	}
	return command
}

// askReady asks the weir that listens on address for /readyz.
func askReady(ctx context.Context, address string, secure bool) error {
	address, err := reachable(address)
	if err != nil {
		return err
	}
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+address+"/readyz", nil)
	if err != nil {
		return err
	}
	// A proxy of the environment is not meant for this machine's own ports. The
	// certificate names the host that others ask, not this loopback address, and
	// nothing secret is said.
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
	}}
	response, err := client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return fmt.Errorf("no answer: is weir serving on %s? %w", address, err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	const enough = 300 // of the reason, for one line
	reason, _ := io.ReadAll(io.LimitReader(response.Body, enough))
	return fmt.Errorf("not ready: %s answered %s: %s", request.URL, response.Status, strings.ToValidUTF8(string(reason), "?"))
}

// reachable is where a server that listens on address can be asked from its
// own machine: one that listens on all addresses also answers on loopback.
func reachable(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
