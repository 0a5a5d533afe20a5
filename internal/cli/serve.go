package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-rls/weir/internal/app"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/telemetry"
)

func newServe(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   "serve --rules FILE|DIR | --rules-ads HOST:PORT",
		Short: "Serve Envoy from rule files",
		Long: `Serve Envoy's rate limit service from rule files, or from rules that a control
plane sends over ADS.

A flag is stronger than its environment variable (--grpc-listen is
WEIR_GRPC_LISTEN), that is stronger than the settings file (grpc_listen).
SIGTERM or Ctrl-C drains and stops; a second one stops at once.`,
		Example: `  weir serve --rules rules.yaml
  weir serve --rules-ads envoy-gateway:18001 --rules-ads-node envoy-ratelimit
  weir serve --rules /etc/weir/rules --store redis --redis-url redis://redis:6379/0`,
		Args: noArguments,
	}
	config.AddFlags(command.Flags())
	command.RunE = func(command *cobra.Command, _ []string) error {
		settings, warnings, err := config.Load(command.Flags(), world.Environ, "rules", "rules-ads")
		if err != nil {
			return err
		}
		if err := settings.Consistent(); err != nil {
			return err
		}
		log := telemetry.NewLogger(world.Stderr, settings.Level())
		for _, warning := range warnings {
			log.Warn("settings", "warning", warning)
		}
		world.paceCollector()
		a, err := app.New(settings, app.Options{Log: log, Version: buildVersion()})
		if err != nil {
			return failureError{err}
		}
		if err := a.Run(command.Context()); err != nil {
			return failureError{err}
		}
		return nil
	}
	return command
}

// paceCollector lets garbage grow, unless who started weir said how much.
func (w World) paceCollector() {
	if !slices.ContainsFunc(w.Environ, func(v string) bool { return strings.HasPrefix(v, "GOGC=") }) {
		app.PaceCollector()
	}
}
