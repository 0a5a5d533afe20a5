package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

func newCompletion(world World) *cobra.Command {
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print what makes a shell complete commands, flags and their values",
		Long: `Print the script that makes a shell complete weir's commands, flags, the words
that flags take, and rule files. Load it where the shell starts.`,
		Example: `  source <(weir completion bash)        # in ~/.bashrc; needs the package bash-completion
  source <(weir completion zsh)         # in ~/.zshrc, after compinit
  weir completion fish > ~/.config/fish/completions/weir.fish
  weir completion powershell | Out-String | Invoke-Expression     # in $PROFILE`,
		ValidArgs: shells,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("weir completion takes one shell, got %d: write weir completion bash, or zsh, fish, powershell", len(args))
			}
			if !slices.Contains(shells, args[0]) {
				return fmt.Errorf("%q is no shell that weir knows: the shells are %s", args[0], strings.Join(shells, ", "))
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			root, err := command.Root(), error(nil)
			switch args[0] {
			case "bash":
				err = root.GenBashCompletionV2(world.Stdout, true)
			case "zsh":
				err = root.GenZshCompletion(world.Stdout)
			case "fish":
				err = root.GenFishCompletion(world.Stdout, true)
			case "powershell":
				err = root.GenPowerShellCompletionWithDesc(world.Stdout)
			}
			if err != nil {
				return failureError{err}
			}
			return nil
		},
	}
}

// complete has a shell offer for each command what its usage line and the help of
// its flags call the values: words, rule files, files, directories, or nothing.
func complete(command *cobra.Command) {
	if command.ValidArgs == nil && command.ValidArgsFunction == nil {
		_, argument, _ := strings.Cut(command.Use, " ")
		argument, _, _ = strings.Cut(argument, " -")
		command.ValidArgsFunction = offers(strings.TrimSuffix(argument, "..."))
	}
	command.Flags().VisitAll(func(flag *pflag.Flag) {
		// Fails only where the command has said itself what the flag's values are.
		_ = command.RegisterFlagCompletionFunc(flag.Name, offers(flag.Value.Type()))
	})
	for _, c := range command.Commands() {
		complete(c)
	}
}

// offers are the values of what the help calls so.
func offers(value string) cobra.CompletionFunc {
	switch {
	case value == "FILE|DIR":
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		}
	case value == "DIR":
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	case value == "FILE":
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		}
	case strings.Contains(value, "|") && value == strings.ToLower(value):
		return cobra.FixedCompletions(strings.Split(value, "|"), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)
	case value == "bool":
		return cobra.FixedCompletions([]string{"true", "false"}, cobra.ShellCompDirectiveNoFileComp)
	}
	return cobra.NoFileCompletions
}
