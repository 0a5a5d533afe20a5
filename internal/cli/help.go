package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-rls/weir/internal/config"
)

// columns is the width of the help: what a terminal beside an editor shows.
const columns = 96

// help prints what command does, with its flags under their headings: cobra's
// own text sorts flags by name, which tears apart what belongs together.
func help(command *cobra.Command, _ []string) {
	about := command.Long
	if about == "" {
		about = command.Short + "."
	}
	use := command.UseLine()
	if command.HasAvailableSubCommands() {
		commands := command.CommandPath() + " COMMAND"
		if command.HasParent() { // weir alone does nothing, weir bench does
			commands = use + "\n  " + commands
		}
		use = commands
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\nUsage:\n  %s\n", about, use)
	if command.HasAvailableSubCommands() {
		text.WriteString("\nCommands:\n")
		for _, c := range command.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&text, "  %-10s %s\n", c.Name(), c.Short)
			}
		}
	}
	if command.HasExample() {
		fmt.Fprintf(&text, "\nExamples:\n%s\n", command.Example)
	}
	if flags := config.Usages(command.LocalFlags(), columns); flags != "" {
		text.WriteString("\n" + flags)
	}
	fmt.Fprint(command.OutOrStdout(), text.String())
}
