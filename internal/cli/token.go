package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/internal/config"
)

func newToken(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   "token NAME",
		Short: "Make a token for a caller of the API",
		Long: `Make a random token for a caller of the API, who sends it as
Authorization: Bearer TOKEN, and the line that lets it in, for the file that
weir serve --admin-tokens-file names. The line holds a hash of the token: the
token itself is printed here, once, and kept nowhere.

NAME is the default author of what the caller changes. Two lines may have the
same name, so that a token can be replaced before the old one is removed.`,
		Example: `  weir token ann --role operator
  weir token dashboard`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("weir token takes one name, got %d: write weir token NAME", len(args))
			}
			return nil
		},
	}
	command.Flags().SortFlags = false
	word := command.Flags().String("role", admin.Viewer.String(), "What the caller may do: read, or change things and take tokens too.")
	config.GroupFlags(command.Flags(), "Token", map[string]string{"role": "viewer|operator"})
	command.RunE = func(_ *cobra.Command, args []string) error {
		role, known := admin.RoleOf(*word)
		if !known {
			return fmt.Errorf("--role: %q is neither viewer nor operator", *word)
		}
		if err := admin.CheckTokenName(args[0]); err != nil {
			return fmt.Errorf("%q is no name of a token: %w", args[0], err)
		}
		secret := admin.RandomToken()
		if _, err := fmt.Fprintf(world.Stdout, `# The token of the %s %s, shown only now: send it as Authorization: Bearer TOKEN
%s
# The line for --admin-tokens-file, which holds its hash
%s
`, role, args[0], secret, admin.NewToken(role, args[0], secret).Line()); err != nil {
			return failureError{errors.Join(errors.New("the token is not printed whole: make another"), err)}
		}
		return nil
	}
	return command
}
