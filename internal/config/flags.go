package config

import (
	"fmt"
	"slices"
	"strings"

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
		flag := &pflag.Flag{Name: s.name, Usage: s.usage, DefValue: s.defaultText(), Value: &text{kind: s.value}}
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

// GroupFlags puts flags that are no settings under a heading of the help, and
// names what their values are, such as HOST:PORT, by the flag's name.
func GroupFlags(flags *pflag.FlagSet, heading string, values map[string]string) {
	for name, value := range values {
		flag := flags.Lookup(name)
		flag.Value = named{flag.Value, value}
		flag.Annotations = map[string][]string{groupAnnotation: {heading}}
	}
}

// named is a value with a name for the help.
type named struct {
	pflag.Value
	name string
}

func (n named) Type() string { return n.name }

// Usages describes the flags that AddFlags and GroupFlags defined, group by group under its
// heading, in lines of at most columns. Each text stands below its flag: beside
// names as long as --grpc-max-connection-age-grace there is no room to read.
func Usages(flags *pflag.FlagSet, columns int) string {
	var order []string
	groups := map[string]*strings.Builder{}
	flags.VisitAll(func(flag *pflag.Flag) {
		group := "Other"
		if names := flag.Annotations[groupAnnotation]; len(names) > 0 {
			group = names[0]
		}
		if groups[group] == nil {
			order = append(order, group)
			groups[group] = &strings.Builder{}
		}
		describe(groups[group], flag, columns)
	})
	var out strings.Builder
	for i, group := range order {
		if i > 0 {
			out.WriteByte('\n')
		}
		fmt.Fprintf(&out, "%s:\n%s", group, groups[group])
	}
	return out.String()
}

// describe writes one flag's name, default and text.
func describe(out *strings.Builder, flag *pflag.Flag, columns int) {
	const indent = "        "
	out.WriteString("  ")
	if flag.Shorthand != "" {
		fmt.Fprintf(out, "-%s, ", flag.Shorthand)
	}
	out.WriteString("--" + flag.Name)
	if kind := flag.Value.Type(); kind != "bool" {
		out.WriteString(" " + kind)
		if flag.DefValue != "" {
			fmt.Fprintf(out, " (default %s)", flag.DefValue)
		}
	}
	line := ""
	for _, word := range strings.Fields(flag.Usage) {
		if line != "" && len(indent)+len(line)+1+len(word) <= columns {
			line += " " + word
			continue
		}
		out.WriteString(line + "\n" + indent)
		line = word
	}
	out.WriteString(line + "\n")
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
