package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/envoy"
	"github.com/weir-rls/weir/internal/config"
)

// checkFlags are the flags of weir check.
type checkFlags struct {
	envoy   []string
	version string
	format  string
}

func newCheck(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   "check FILE|DIR...",
		Short: "Tell all faults of rule files, and of Envoy's files beside them",
		Long: `Tell all faults of rule files, each with its place. The exit code is 1 if there
is an error; warnings and notes alone leave it 0. Files are checked together, as
weir serve reads a directory of them: a domain in two files is a fault.

With --envoy an Envoy's configuration is held against the rules: which descriptors
meet no rule, which rules nothing reaches, and what Envoy would ignore, give up or
let pass. It may be a bootstrap, resources, an Istio EnvoyFilter or an Envoy Gateway
BackendTrafficPolicy or EnvoyPatchPolicy, in YAML or JSON, and several of them.
docs/reference/checking.md lists what is found. A comment "# weir:allow ID" says that
a finding is meant.`,
		Example: `  weir check rules.yaml
  weir check /etc/weir/rules --merge-domains
  weir check rules/ --envoy envoy.yaml
  weir check rules/ --envoy envoy.yaml --envoy-version 1.38
  weir check rules/ --envoy filter.yaml --envoy routes.yaml --format sarif > weir.sarif`,
		Args: someFiles,
	}
	var flags checkFlags
	config.AddFlags(command.Flags(), "merge-domains")
	flags.define(command.Flags())
	command.RunE = func(command *cobra.Command, files []string) error {
		settings, _, err := config.Load(command.Flags(), world.Environ)
		if err != nil {
			return err
		}
		write, known := reports[flags.format]
		if !known {
			return fmt.Errorf("--format: %q is not text, json or sarif", flags.format)
		}
		oldest, err := flags.oldest()
		if err != nil {
			return err
		}
		faults, err := flags.check(files, descriptors.Options{MergeDomains: settings.MergeDomains}, oldest)
		if err != nil {
			return failureError{err}
		}
		text, err := write(faults)
		if err != nil {
			return failureError{err}
		}
		if _, err := fmt.Fprint(world.Stdout, text); err != nil {
			return failureError{err}
		}
		if faults.Failed() {
			return silentError{}
		}
		return nil
	}
	return command
}

func (f *checkFlags) define(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.envoy, "envoy", nil, "Envoy configuration to hold against the rules; may be given several times.")
	flags.StringVar(&f.version, "envoy-version", "", "The oldest Envoy that reads these files, as in 1.38: what only older ones do is not told then.")
	flags.StringVar(&f.format, "format", "text", "How findings are told: text for people, json, or sarif for code hosts.")
	config.GroupFlags(flags, "Envoy and output", map[string]string{"envoy": "FILE", "envoy-version": "X.Y", "format": "text|json|sarif"})
	flags.Lookup("envoy").DefValue = ""
}

// oldest is the Envoy that is stated.
func (f *checkFlags) oldest() (v envoy.Version, err error) {
	if f.version == "" {
		return v, nil
	}
	if v, err = envoy.ParseVersion(f.version); err != nil {
		return v, fmt.Errorf("--envoy-version: %w", err)
	}
	return v, nil
}

// check tells the faults of rule files, and of Envoy's beside them.
func (f *checkFlags) check(files []string, opts descriptors.Options, oldest envoy.Version) (descriptors.Faults, error) {
	survey, faults := descriptors.Examine(files, opts)
	if len(survey.Domains()) == 0 && !faults.Failed() {
		return nil, fmt.Errorf("no rule file in %s: their names end in .yaml or .yml", quoted(files))
	}
	if len(f.envoy) > 0 {
		faults = append(faults, envoy.Check(survey, f.envoy, oldest)...).Tidy()
	}
	return faults, nil
}

// someFiles asks for files: rules that come in through a pipe have no name to
// tell their faults by.
func someFiles(command *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no rule file given: write %s FILE or a directory of them", command.CommandPath())
	}
	if slices.Contains(args, "-") {
		return fmt.Errorf("%s reads no standard input: name a rule file, ./- if it is called so", command.CommandPath())
	}
	return nil
}

func quoted(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(all, ", ")
}
