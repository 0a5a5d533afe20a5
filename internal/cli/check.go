package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/config"
)

func newCheck(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   "check FILE|DIR...",
		Short: "Tell all faults of rule files",
		Long: `Tell all faults of rule files, each with its place. The exit code is 1 if there
is an error; warnings alone leave it 0. Files are checked together, as
weir serve reads a directory of them: a domain in two files is a fault.`,
		Example: `  weir check rules.yaml
  weir check /etc/weir/rules --merge-domains`,
		Args: someFiles,
	}
	config.AddFlags(command.Flags(), "merge-domains")
	command.RunE = func(command *cobra.Command, files []string) error {
		settings, _, err := config.Load(command.Flags(), world.Environ)
		if err != nil {
			return err
		}
		rules, faults := descriptors.Load(files, descriptors.Options{MergeDomains: settings.MergeDomains})
		if rules == nil && !faults.Failed() {
			return failureError{fmt.Errorf("no rule file in %s: their names end in .yaml or .yml", quoted(files))}
		}
		if _, err := fmt.Fprint(world.Stdout, faults.Text(), summary(faults), "\n"); err != nil {
			return failureError{err}
		}
		if faults.Failed() {
			return silentError{}
		}
		return nil
	}
	return command
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

// summary counts the faults in one line.
func summary(faults descriptors.Faults) string {
	count := func(s descriptors.Severity) string {
		if n := faults.Count(s); n != 1 {
			return fmt.Sprintf("%d %ss", n, s)
		}
		return "1 " + s.String()
	}
	if len(faults) == 0 {
		return "no faults"
	}
	return count(descriptors.Error) + ", " + count(descriptors.Warning)
}

func quoted(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(all, ", ")
}
