package config

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/spf13/pflag"
)

// groupAnnotation marks a flag with its heading in the help.
const groupAnnotation = "weir-group"

// configFlag names the settings file. It is no setting, for it cannot stand in
// the file.
const configFlag = "config"

// DefaultFile is the settings file that is read where none is named, if it
// exists.
const DefaultFile = "weir.yaml"

// AddFlags defines --config and the flags of the named settings, of all
// settings if none is named.
func AddFlags(flags *pflag.FlagSet, names ...string) {
	flags.SortFlags = false
	for _, s := range table {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		flag := &pflag.Flag{Name: s.name, Usage: s.usage, DefValue: fmt.Sprint(s.def), Value: &text{kind: s.value}}
		if s.kind() == "bool" {
			flag.Value, flag.NoOptDefVal = &text{kind: "bool"}, "true"
		}
		addFlag(flags, flag, s.group)
	}
	addFlag(flags, &pflag.Flag{
		Name: configFlag, Value: &text{kind: "FILE"},
		Usage: "Settings file; if none is named, " + DefaultFile + " in the working directory where it exists.",
	}, "Settings")
}

func addFlag(flags *pflag.FlagSet, flag *pflag.Flag, group string) {
	flag.Annotations = map[string][]string{groupAnnotation: {group}}
	flags.AddFlag(flag)
}

// Usages describes the flags that AddFlags defined, group by group under its
// heading, in lines of at most columns.
func Usages(flags *pflag.FlagSet, columns int) string {
	var order []string
	groups := map[string]*pflag.FlagSet{}
	flags.VisitAll(func(flag *pflag.Flag) {
		group := "Other"
		if names := flag.Annotations[groupAnnotation]; len(names) > 0 {
			group = names[0]
		}
		if groups[group] == nil {
			order = append(order, group)
			groups[group] = pflag.NewFlagSet(group, pflag.ContinueOnError)
			groups[group].SortFlags = false
		}
		groups[group].AddFlag(flag)
	})
	var out bytes.Buffer
	for i, group := range order {
		if i > 0 {
			out.WriteByte('\n')
		}
		fmt.Fprintf(&out, "%s:\n%s", group, groups[group].FlagUsagesWrapped(columns))
	}
	return out.String()
}

// text is a flag's value as it was written. [Load] parses it together with
// those of the environment and the file, so that all faults are told at once.
type text struct {
	kind  string // what the help calls the value
	value string
}

func (t *text) String() string         { return t.value }
func (t *text) Set(value string) error { t.value = value; return nil }
func (t *text) Type() string           { return t.kind }
