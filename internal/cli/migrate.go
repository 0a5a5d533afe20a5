package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/ratelimit/migrate"
)

// migrateFlags are the flags of weir migrate.
type migrateFlags struct {
	env       string
	windows   bool
	out       string
	overwrite bool
}

func newMigrate(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   "migrate RUNTIME_DIR|FILE",
		Short: "Rewrite rules and settings of envoyproxy/ratelimit as weir's own",
		Long: `Print the rule files of envoyproxy/ratelimit in weir's own form, as weir serve
reads them, with what is otherwise then beside each limit; a summary goes to the
standard error. RUNTIME_DIR is its RUNTIME_ROOT, or the directory of the files
themselves, whatever their names end in. With an error in a file nothing is written.

With --env its environment is read too, and the flags of weir serve that say the same
are printed, with each variable that no flag says and why. Where the rules come from a
control plane no RUNTIME_DIR is given.

weir ratelimit serves the old files and variables as they are: nobody has to migrate.`,
		Example: `  weir migrate /srv/runtime_data/current > rules.yaml
  weir migrate runtime/ --out rules/ --env deployment.yaml
  weir migrate config.yaml --keep-windows
  weir migrate --env ratelimit.env`,
		Args: func(command *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%s takes one runtime directory, got %d", command.CommandPath(), len(args))
			}
			return nil
		},
	}
	var flags migrateFlags
	config.AddFlags(command.Flags(), "merge-domains")
	flags.define(command.Flags())
	command.RunE = func(command *cobra.Command, args []string) error {
		loaded, _, err := config.Load(command.Flags(), world.Environ)
		if err != nil {
			return err
		}
		return flags.run(world, args, loaded.MergeDomains)
	}
	return command
}

// run migrates the runtime directory that args may name.
func (f *migrateFlags) run(world World, args []string, mergeDomains bool) (err error) {
	if len(args) == 0 && f.env == "" {
		return errors.New("nothing to migrate: name a runtime directory, --env, or both")
	}
	var serve migrate.Serve
	if f.env != "" {
		if serve, err = f.serve(); err != nil {
			return failureError{err}
		}
	}
	if len(args) == 0 && !serve.OverADS {
		return errors.New("the rules are in files there (CONFIG_TYPE): name the runtime directory")
	}
	serve.Options.KeepWindows = f.windows
	serve.Options.MergeDomains = serve.Options.MergeDomains || mergeDomains
	var rules migrate.Result
	if len(args) > 0 {
		if rules, err = rewrite(world, args[0], serve); err != nil {
			return err
		}
	}
	if err := f.write(world, rules.Files, f.told(serve)); err != nil {
		return failureError{err}
	}
	summary := rules.Summary()
	if f.out == "" && len(rules.Files) > 1 {
		summary += "These are several files, and weir serve wants each domain in one: --out DIR writes them.\n"
	}
	if _, err := fmt.Fprint(world.Stderr, summary); err != nil {
		return failureError{err}
	}
	return nil
}

func (f *migrateFlags) define(flags *pflag.FlagSet) {
	flags.StringVar(&f.env, "env", "", "Environment of the old deployment: lines NAME=value or, named .yaml, .yml or .json, a manifest of Kubernetes or Docker Compose.")
	flags.BoolVar(&f.windows, "keep-windows", false, "Keep fixed windows, which end at the same moments, in place of token buckets and of weeks, months and years of the calendar.")
	flags.StringVar(&f.out, "out", "", "Directory to write a file for each domain into; without it all goes to the standard output.")
	flags.BoolVar(&f.overwrite, "overwrite", false, "Replace files that are in --out already; otherwise nothing is written then.")
	config.GroupFlags(flags, "Migration", map[string]string{"env": "FILE", "keep-windows": "bool", "out": "DIR", "overwrite": "bool"})
}

// serve reads the environment.
func (f *migrateFlags) serve() (migrate.Serve, error) {
	environment, err := migrate.ReadEnvironment(f.env)
	if err != nil {
		return migrate.Serve{}, err
	}
	rules := f.out
	if rules == "" {
		rules = "rules.yaml"
	}
	return migrate.ToServe(environment, rules)
}

// rewrite reads and rewrites rule files, and tells their faults.
func rewrite(world World, dir string, as migrate.Serve) (migrate.Result, error) {
	files, err := as.Tree.Find(dir)
	if err != nil {
		return migrate.Result{}, failureError{err}
	}
	rules, faults := migrate.Rules(files, as.Options)
	if _, err := fmt.Fprint(world.Stderr, faults.Text()); err != nil {
		return rules, failureError{err}
	}
	if faults.Failed() {
		return rules, silentError{}
	}
	return rules, nil
}

// told is the flags and what has none, for a shell; behind rules, as comments.
func (f *migrateFlags) told(serve migrate.Serve) string {
	if f.env == "" {
		return ""
	}
	command, notes := "weir serve", ""
	for _, flag := range serve.Flags {
		command += " \\\n  " + flag
	}
	for _, n := range serve.Without {
		notes += "# " + n.Variable + ": " + n.Why + "\n"
	}
	if notes != "" {
		notes = "\n" + notes
	}
	if f.out == "" {
		command = "# " + strings.ReplaceAll(command, "\n", "\n# ")
	}
	return command + "\n" + notes
}

// write writes the rules and what is told of the environment.
func (f *migrateFlags) write(world World, files []migrate.File, told string) error {
	var text strings.Builder
	for i, file := range files {
		if f.out != "" {
			break
		}
		if i > 0 {
			text.WriteString("---\n")
		}
		text.Write(file.Content)
	}
	if f.out == "" && told != "" && len(files) > 0 {
		text.WriteString("\n")
	}
	text.WriteString(told)
	if f.out != "" {
		if err := f.writeFiles(files); err != nil {
			return err
		}
		for _, file := range files {
			if _, err := fmt.Fprintln(world.Stderr, "wrote", filepath.Join(f.out, file.Name)); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprint(world.Stdout, text.String())
	return err
}

// writeFiles writes a file for each domain, or none.
func (f *migrateFlags) writeFiles(files []migrate.File) error {
	var faults []error
	for _, file := range files {
		if name := filepath.Join(f.out, file.Name); !f.overwrite {
			if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
				faults = append(faults, fmt.Errorf("%s is there already: remove it, or add --overwrite", name))
			}
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(f.out, file.Name), file.Content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
