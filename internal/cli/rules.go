package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/config"
)

func newRules(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   "rules FILE|DIR...",
		Short: "Print rule files with what their presets stand for",
		Long: `Print rule files with the descriptors that their presets stand for. What is
printed of a file loads to the same rules. Faults are told as by weir check, on
the standard error; with an error among them nothing is printed.`,
		Example: `  weir rules rules.yaml
  weir rules /etc/weir/rules`,
		Args: someFiles,
	}
	config.AddFlags(command.Flags(), "merge-domains")
	command.RunE = func(command *cobra.Command, files []string) error {
		settings, _, err := config.Load(command.Flags(), world.Environ)
		if err != nil {
			return err
		}
		expanded, faults := descriptors.Expand(files, descriptors.Options{MergeDomains: settings.MergeDomains})
		if _, err := fmt.Fprint(world.Stderr, faults.Text()); err != nil {
			return failureError{err}
		}
		switch {
		case faults.Failed():
			return silentError{}
		case len(expanded) == 0:
			return failureError{errors.New("no rule file in " + quoted(files) + ": their names end in .yaml or .yml")}
		}
		var text strings.Builder
		for i, f := range expanded {
			if i > 0 {
				text.WriteString("---\n")
			}
			if len(expanded) > 1 {
				fmt.Fprintf(&text, "# %q\n", f.File)
			}
			text.Write(f.Content)
			if !bytes.HasSuffix(f.Content, []byte("\n")) {
				text.WriteString("\n")
			}
		}
		if _, err := fmt.Fprint(world.Stdout, text.String()); err != nil {
			return failureError{err}
		}
		return nil
	}
	return command
}
