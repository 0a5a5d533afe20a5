package cli

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-rls/weir/ratelimit"
	"github.com/weir-rls/weir/ratelimit/settings"
)

// dropIn is the name of a command and, for who swaps images, of the program.
const dropIn = "ratelimit"

// asDropIn tells whether the program was started as envoyproxy/ratelimit's is.
func (w World) asDropIn() bool {
	return strings.TrimSuffix(filepath.Base(w.Name), ".exe") == dropIn
}

func newRatelimit(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   dropIn,
		Short: "Take the place of envoyproxy/ratelimit",
		Long: `Take the place of envoyproxy/ratelimit: read its environment variables and rule
files, answer as it does, and serve its ports, pages and statistics. Arguments
have no effect. docs/reference/drop-in.md lists the variables.

A weir that is called ratelimit, by a link or a copy, does this without being told.`,
		Example:            "  BACKEND_TYPE=memory USE_STATSD=false RUNTIME_ROOT=/etc/ratelimit weir ratelimit",
		DisableFlagParsing: true, // whatever they are, the reference ignores them
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		if !world.asDropIn() && slices.ContainsFunc(args, func(a string) bool { return a == "--help" || a == "-h" }) {
			return command.Help()
		}
		s, ignored, err := settings.Read(world.Environ)
		if err != nil {
			return failureError{err}
		}
		world.paceCollector()
		p, err := ratelimit.New(s, ratelimit.Options{Log: ratelimit.NewLogger(world.Stderr, s.Log), Version: buildVersion(), Ignored: ignored, Args: args})
		if err != nil {
			return failureError{err}
		}
		if err := p.Run(command.Context()); err != nil {
			return failureError{err}
		}
		return nil
	}
	return command
}
