package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// offered is what weir tells a shell to offer, and the number that tells it of files.
func offered(t *testing.T, args ...string) (words []string, directive string) {
	t.Helper()
	got := weirHere(t, nil, append([]string{"__completeNoDesc"}, args...)...)
	words = strings.Split(strings.TrimSpace(got.stdout), "\n")
	if got.code != exitOK || len(words) == 0 {
		t.Fatalf("%v: %+v", args, got)
	}
	return words[:len(words)-1], strings.TrimPrefix(words[len(words)-1], ":")
}

// Directives of cobra's protocol with the shells.
const (
	anyFile     = "0"
	noFile      = "4"
	byExtension = "8"
	directories = "16"
	wordsOnly   = "36" // no file, and in their own order
)

func TestCompletion_OffersWhatTheHelpSays(t *testing.T) {
	t.Chdir(t.TempDir())
	for line, want := range map[string]struct{ words, directive string }{
		"serve --store ":           {"memory redis", wordsOnly},
		"serve --log-level ":       {"debug info warn error", wordsOnly},
		"serve --headers ":         {"off draft10 legacy", wordsOnly},
		"serve --show-degraded ":   {"off header metadata", wordsOnly},
		"serve --on-excess ":       {"deny allow", wordsOnly},
		"serve --rules ":           {"yaml yml", byExtension},
		"serve --config ":          {"", anyFile},
		"serve --http-cert ":       {"", anyFile},
		"serve --state-dir ":       {"", directories},
		"serve --redis-url ":       {"", noFile},
		"serve --drain-delay ":     {"", noFile},
		"serve ":                   {"", noFile},
		"check ":                   {"yaml yml", byExtension},
		"check a.yaml ":            {"yaml yml", byExtension},
		"rules ":                   {"yaml yml", byExtension},
		"token ":                   {"", noFile},
		"token ann --role ":        {"viewer operator", wordsOnly},
		"completion ":              {"bash zsh fish powershell", noFile},
		"serve --merge-domains=":   {"true false", noFile},
		"check --merge-domains --": {"--config --envoy --envoy-version --format --help", noFile},
		"check --format ":          {"text json sarif", wordsOnly},
		"test --format ":           {"text json junit", wordsOnly},
		"test ":                    {"yaml yml", byExtension},
		"simulate ":                {"yaml yml", byExtension},
		"simulate a.yaml --trace ": {"", anyFile},
		"simulate --trace-format ": {"auto json csv", wordsOnly},
		"simulate --output ":       {"text json", wordsOnly},
		"simulate --against ":      {"yaml yml", byExtension},
		"simulate --map ":          {"", noFile},
		"explain ":                 {"yaml yml", byExtension},
		"sch":                      {"schema", noFile},
	} {
		args := strings.Split(line, " ")
		words, directive := offered(t, args...)
		if got := strings.Join(words, " "); got != want.words || directive != want.directive {
			t.Errorf("weir %s: %q, directive %s; want %q, %s", line, got, directive, want.words, want.directive)
		}
	}
}

// A flag with words that were forgotten would offer file names.
func TestCompletion_KnowsEachFlagAndCommand(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.ValidArgs == nil && c.ValidArgsFunction == nil {
			t.Errorf("%s: a shell would offer any file as its argument", c.CommandPath())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if _, there := c.GetFlagCompletionFunc(f.Name); !there {
				t.Errorf("%s --%s: a shell would offer any file", c.CommandPath(), f.Name)
			}
		})
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk(newRoot(World{}))
}

// bashrc stands in for the two functions of the package bash-completion that the
// script calls, where it is not installed.
const bashrc = `
if [ -r /usr/share/bash-completion/bash_completion ]; then source /usr/share/bash-completion/bash_completion
else
  _get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
  _filedir() { COMPREPLY=($(compgen -d -- "$cur")); [ "$1" = -d ] || for f in $(compgen -f -X "!*.@(${1:-*})" -- "$cur"); do COMPREPLY+=("$f"); done; }
fi
shopt -s extglob
compopt() { :; } # which bash has for completions alone
source script
COMP_WORDS=("$@") COMP_CWORD=$(($#-1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9
__start_weir
printf '%s\n' "${COMPREPLY[@]}"
`

// In a real bash, what is typed is completed.
func TestCompletion_WorksInBash(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inFiles(t, map[string]string{
		"weir": "#!/bin/sh\n" + beWeir + "=1 exec '" + self + "' \"$@\"\n", "bashrc": bashrc,
		"a.yaml": goodRules, "b.yml": goodRules, "c.txt": "",
	})
	if err := os.Chmod("weir", 0o700); err != nil {
		t.Fatal(err)
	}
	script := weirHere(t, nil, "completion", "bash")
	if err := os.WriteFile("script", []byte(script.stdout), 0o600); err != nil || script.code != exitOK {
		t.Fatalf("%+v %v", script, err)
	}
	here, _ := filepath.Abs(".")
	for line, want := range map[string]string{
		"weir comp":                 "completion",
		"weir serve --store ":       "memory redis",
		"weir serve --log-level de": "debug",
		"weir check ":               "a.yaml b.yml dir",
		"weir serve --rules ":       "a.yaml b.yml dir",
		"weir serve --state-dir ":   "dir",
		"weir serve --drain-delay ": "",
	} {
		bash := exec.CommandContext(t.Context(), "bash", append([]string{"--norc", "bashrc"}, strings.Split(line, " ")...)...)
		bash.Env = append(os.Environ(), "PATH="+here+":"+os.Getenv("PATH"))
		out, err := bash.CombinedOutput()
		words := strings.Fields(string(out))
		slices.Sort(words)
		if got := strings.Join(slices.Compact(words), " "); err != nil || got != want {
			t.Errorf("%s<tab>: %q (%v), want %q", line, got, err, want)
		}
	}
}

func TestCompletion_ScriptsOfAllShells(t *testing.T) {
	for shell, want := range map[string]string{"bash": "__start_weir", "zsh": "#compdef weir", "fish": "complete -c weir", "powershell": "Register-ArgumentCompleter -CommandName 'weir'"} {
		if got := weir(t, nil, "completion", shell); got.code != exitOK || got.stderr != "" || !strings.Contains(got.stdout, want) {
			t.Errorf("%s: %d %q %.200s", shell, got.code, got.stderr, got.stdout)
		}
	}
}
