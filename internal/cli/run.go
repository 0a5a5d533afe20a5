// Package cli is weir's command line, one file a command. What a command takes
// from the world comes with [World].
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weir-rls/weir/internal/config"
)

// World is all that the command line takes from its surroundings, apart from
// the files that arguments and settings name.
type World struct {
	Name    string   // by which the program was started, with or without a directory
	Args    []string // after the name
	Environ []string // "NAME=value"
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
}

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // the command ran and failed, or found faults
	exitUsage   = 2 // unknown command or flag, wrong arguments, wrong settings
)

// Run runs the command that world's arguments name until it is done or ctx is
// cancelled, and answers the exit code. Errors are on Stderr, one line each.
func Run(ctx context.Context, world World) int {
	root := newRoot(world)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var silent silentError
	if errors.As(err, &silent) {
		return exitFailure
	}
	for _, line := range lines(err) {
		fmt.Fprintln(world.Stderr, "weir: "+line)
	}
	var failure failureError
	if errors.As(err, &failure) {
		return exitFailure
	}
	return exitUsage
}

// failureError is the error of a command that was called as it should be.
type failureError struct{ error }

func (e failureError) Unwrap() error { return e.error }

// silentError is a failure whose command has already said all there is to say.
type silentError struct{}

func (silentError) Error() string { return "failed" }

// lines are the messages of joined errors, each as one line without control
// characters: some of what they quote was never meant for a terminal.
func lines(err error) []string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []string
		for _, e := range joined.Unwrap() {
			all = append(all, lines(e)...)
		}
		return all
	}
	if failure, ok := err.(failureError); ok {
		return lines(failure.error)
	}
	printable := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || unicode.IsSpace(r) {
			return r
		}
		return '?'
	}, err.Error())
	return []string{strings.Join(strings.Fields(printable), " ")}
}

func newRoot(world World) *cobra.Command {
	root := &cobra.Command{
		Use:   "weir",
		Short: "A rate limit service for Envoy",
		Long: `weir answers Envoy's rate limit service from rule files, with buckets that
all its replicas share.

Exit codes: 0 done, 1 failed or faults found, 2 wrong usage or wrong settings.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              noArguments,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("no command given: weir --help lists them, weir serve starts the service")
		},
	}
	root.SetArgs(world.Args)
	if world.asDropIn() {
		root.SetArgs(append([]string{dropIn}, world.Args...))
	}
	root.SetIn(world.Stdin)
	root.SetOut(world.Stdout)
	root.SetErr(world.Stderr)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(help)
	root.AddCommand(newServe(world), newRatelimit(world), newCheck(world), newEnvoy(world), newExplain(world), newTest(world), newSimulate(world), newRules(world), newMigrate(world), newHealth(world), newBench(world), newToken(world), newSchema(world), newCompletion(world), newVersion(world))
	complete(root)
	return root
}

// noArguments refuses arguments and suggests a command where one may be meant.
func noArguments(command *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if command.HasParent() {
		return fmt.Errorf("%s takes no argument, got %q: %s --help tells its flags", command.CommandPath(), args[0], command.CommandPath())
	}
	var names []string
	for _, c := range command.Commands() {
		names = append(names, c.Name())
	}
	if near, ok := config.Nearest(args[0], names); ok {
		return fmt.Errorf("unknown command %q: did you mean %s?", args[0], near)
	}
	return fmt.Errorf("unknown command %q: the commands are %s", args[0], strings.Join(names, ", "))
}

// flagError adds the flag that may be meant to the fault of an unknown one, and
// says of a wrong value what is wanted instead of what the parser stumbled over.
func flagError(command *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		wanted := invalid.GetFlag().Value.Type()
		if wanted == "DURATION" {
			wanted += ", such as 500ms or 10s"
		}
		return fmt.Errorf("--%s: %q is not %s", invalid.GetFlag().Name, invalid.GetValue(), wanted)
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	var names []string
	command.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
	name := unknown.GetSpecifiedName()
	if near, ok := config.Nearest(name, names); ok {
		return fmt.Errorf("%w: did you mean --%s?", err, near)
	}
	return fmt.Errorf("%w: %s --help lists the flags", err, command.CommandPath())
}
