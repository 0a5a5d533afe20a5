package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/reference/settings.md anew")

const reference = "../../docs/reference/settings.md"

// The reference page is what the table says, always.
func TestSettingsPage_IsWhatTheTableSays(t *testing.T) {
	want := page()
	if *update {
		if err := os.WriteFile(reference, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/reference/settings.md is stale: go test ./internal/config -run TestSettingsPage -update")
	}
}

func page() string {
	var b strings.Builder
	b.WriteString(`# Settings

Every setting of ` + "`weir serve`" + ` has a flag, an environment variable and a key in the settings file, named alike:
` + "`--grpc-listen`, `WEIR_GRPC_LISTEN` and `grpc_listen`" + `. A flag is stronger than the variable, the variable is stronger than the
file, the file is stronger than the default. A variable that is set to nothing counts as not set.

The settings file is flat YAML. ` + "`--config FILE` or `WEIR_CONFIG`" + ` names it; if neither does, ` + "`weir.yaml`" + ` in the working directory is
read where it exists. Durations have a unit: ` + "`500ms`, `5s`, `1m30s`" + `.

An unknown flag or key is an error, and so is a wrong value, also one that a stronger source makes up for; all are told at once.
An unknown variable that begins with ` + "`WEIR_`" + ` is a warning in the log, except for those that Kubernetes injects for Services named weir:
` + "`WEIR_PORT`, `WEIR_PORT_...`, `WEIR_SERVICE_HOST`, `WEIR_SERVICE_PORT`" + ` and the like are reserved.

` + "`weir health`" + ` reads the same settings to learn where to ask.
`)
	group := ""
	for _, s := range table {
		if s.group != group {
			group = s.group
			fmt.Fprintf(&b, "\n## %s\n\n| flag | variable | key | default | meaning |\n|---|---|---|---|---|\n", group)
		}
		use, text := "--"+s.name, "none"
		if s.kind() != "bool" {
			use += " " + s.value
		}
		if s.def != "" {
			text = "`" + s.defaultText() + "`"
		}
		row := fmt.Sprintf("`%s` | `%s` | `%s` | %s | %s", use, s.env(), s.key(), text, s.usage)
		fmt.Fprintf(&b, "| %s |\n", escapePipes(row))
	}
	return b.String()
}

// escapePipes leaves the column separators, which have spaces around them.
func escapePipes(row string) string {
	parts := strings.Split(row, " | ")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(part, "|", `\|`)
	}
	return strings.Join(parts, " | ")
}
