package cli

import (
	"github.com/spf13/cobra"

	"github.com/weir-rls/weir/descriptors"
)

func newSchema(world World) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of rule files",
		Long: `Print the JSON Schema of rule files (draft 2020-12), with which editors complete
and check them while they are written. weir check knows more: what depends on
other fields and files is beyond a schema.

An editor with the YAML language server follows a first line such as
  # yaml-language-server: $schema=rules.schema.json`,
		Example: `  weir schema > rules.schema.json`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			schema, err := descriptors.Schema()
			if err == nil {
				_, err = world.Stdout.Write(schema)
			}
			if err != nil {
				return failureError{err}
			}
			return nil
		},
	}
}
