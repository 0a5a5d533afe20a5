package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// load runs Load as the command line does, on a file with the given content;
// no content is no file.
func load(t *testing.T, args, environ []string, content string, required ...string) (Settings, []string, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if content != "" {
		write(t, DefaultFile, content)
	}
	return loadHere(t, args, environ, required...)
}

func loadHere(t *testing.T, args, environ []string, required ...string) (Settings, []string, error) {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return Load(flags, environ, required...)
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// samples are two values of each setting, neither of them the default except
// where there are only two, as text and as YAML.
func samples(s setting) [2]string {
	switch s.name {
	case "events-webhook":
		return [2]string{"http://one/a", "https://two:2/b"}
	case "rules-ads":
		return [2]string{"one:1", "[::1]:2"}
	case "rules-ads-keepalive":
		return [2]string{"10s", "1m30s"}
	case "rules-ads-metadata", "rules-ads-headers":
		return [2]string{"a=b", "a=c, d="}
	case "grpc-listen", "http-listen", "line-listen":
		return [2]string{"127.0.0.1:1", "[::1]:2"}
	case "redis-url":
		return [2]string{"redis://a:b@one:1/1", "rediss://two:2"}
	case "store":
		return [2]string{"redis", "memory"}
	case "headers":
		return [2]string{"legacy", "off"}
	case "show-degraded":
		return [2]string{"header", "metadata"}
	case "on-excess":
		return [2]string{"allow", "deny"}
	case "decision-log":
		return [2]string{"refused", "off"}
	case "tracing":
		return [2]string{"otlp-http", "off"}
	case "receipt-key", "admin-token":
		return [2]string{"0123456789abcdef0123456789abcdef", "a key of at least 32 characters, too"}
	case "log-level":
		return [2]string{"debug", "error"}
	}
	switch s.kind() {
	case "bool":
		return [2]string{"true", "false"}
	case "int":
		return [2]string{"7", "8"}
	case "number":
		return [2]string{"0.5", "0"}
	case "duration":
		return [2]string{"1m30s", "7s"}
	}
	return [2]string{"some/path", "other path"}
}

// field is the text of the field of settings that belongs to s.
func field(t *testing.T, settings Settings, s setting) string {
	t.Helper()
	v := reflect.ValueOf(settings)
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("mapstructure") != s.key() {
			continue
		}
		switch hidden := v.Field(i).Interface().(type) {
		case RedisURL:
			return hidden.Reveal()
		case Secret:
			return hidden.Reveal()
		}
		return fmt.Sprint(v.Field(i).Interface())
	}
	t.Fatalf("no field of Settings belongs to %s", s.name)
	return ""
}

// Every setting, every combination of sources, every assignment of two values:
// the strongest source that speaks decides, and no other setting moves.
func TestPrecedence_FlagOverEnvironmentOverFileOverDefault(t *testing.T) {
	t.Chdir(t.TempDir())
	defaults, _, err := loadHere(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range table {
		values := samples(s)
		for combination := range 1 << 6 { // three bits: who speaks; three bits: which value
			want := fmt.Sprint(s.def)
			content, environ, args := "# nothing\n", []string(nil), []string(nil)
			value := func(source int) string { return values[combination>>(3+source)&1] }
			if combination&1 != 0 {
				want = value(0)
				content = s.key() + ": " + inYAML(s, want) + "\n"
			}
			if combination&2 != 0 {
				want = value(1)
				environ = []string{s.env() + "=" + want}
			}
			if combination&4 != 0 {
				want = value(2)
				args = []string{"--" + s.name + "=" + want}
			}
			write(t, DefaultFile, content)
			got, warnings, err := loadHere(t, args, environ)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("%s: %v %v", s.name, err, warnings)
			}
			if field(t, got, s) != want {
				t.Fatalf("%s with file %q, environment %q, flags %q: got %q, want %q", s.name, content, environ, args, field(t, got, s), want)
			}
			for _, other := range table {
				if other.name != s.name && field(t, got, other) != field(t, defaults, other) {
					t.Fatalf("%s also moved %s", s.name, other.name)
				}
			}
		}
	}
}

func inYAML(s setting, value string) string {
	if s.kind() == "string" {
		return fmt.Sprintf("%q", value)
	}
	return value
}

func TestTable_EveryFieldIsASettingAndTheOtherWayRound(t *testing.T) {
	fields := map[string]bool{}
	for f := range reflect.TypeFor[Settings]().Fields() {
		fields[f.Tag.Get("mapstructure")] = true
	}
	for _, s := range table {
		if !fields[s.key()] {
			t.Errorf("%s has no field", s.name)
		}
		delete(fields, s.key())
		if s.name != strings.ToLower(s.name) || strings.ContainsAny(s.name, "_. ") {
			t.Errorf("%s: a flag is lower-case words with dashes", s.name)
		}
		if _, err := s.parse(fmt.Sprint(s.def)); err != nil {
			t.Errorf("%s: its own default is refused: %v", s.name, err)
		}
	}
	for key := range fields {
		t.Errorf("field %s is no setting", key)
	}
}

func TestSeveralFaults_AreToldAtOnceEachWithItsPlaceAndRemedy(t *testing.T) {
	_, _, err := load(t,
		[]string{"--store=mysql", "--drain-delay=-1s", "--headers=draft9"},
		[]string{"WEIR_MAX_DESCRIPTORS=many", "WEIR_GRPC_LISTEN=8081", "WEIR_GRPC_REFLECTION=yes"},
		"drain_timeout: 5\nstore_timeout: 0s\nlog_level: 7\nmemory_max_buckets: 1.5\nhttp_listen: [1]\non_excess:\nruels: x\n")
	want := []string{
		`--store: "mysql" is none of memory, redis`,
		`--drain-delay: "-1s" is too small: give at least 0s`,
		`--headers: "draft9" is none of off, draft10, legacy`,
		`WEIR_MAX_DESCRIPTORS: "many" is not a whole number`,
		`WEIR_GRPC_LISTEN: "8081" is not an address to listen on: write HOST:PORT`,
		`WEIR_GRPC_REFLECTION: "yes" is neither true nor false`,
		`weir.yaml: drain_timeout: "5" is not a duration: write a number and a unit`,
		`weir.yaml: store_timeout: "0s" is too small: give at least 1ms`,
		`weir.yaml: log_level: "7" is not a text: write it in quotes`,
		`weir.yaml: memory_max_buckets: "1.5" is not a whole number`,
		`weir.yaml: http_listen: "[1]" is not a text`,
		`weir.yaml: on_excess: no value: give one or remove the line`,
		`weir.yaml: unknown setting "ruels": did you mean rules?`,
	}
	faults := unjoin(t, err)
	for _, w := range want {
		found := false
		for _, fault := range faults {
			found = found || strings.HasPrefix(fault, w)
		}
		if !found {
			t.Errorf("no fault begins with %s", w)
		}
	}
	if len(faults) != len(want) {
		t.Errorf("%d faults, want %d:\n%s", len(faults), len(want), strings.Join(faults, "\n"))
	}
}

func unjoin(t *testing.T, err error) (faults []string) {
	t.Helper()
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		t.Fatalf("not a list of faults: %v", err)
	}
	for _, fault := range joined.Unwrap() {
		faults = append(faults, fault.Error())
	}
	return faults
}

// A fault is a fault although a stronger source makes up for it: it would come
// to light on the day that the flag is dropped.
func TestOverriddenFault_IsStillTold(t *testing.T) {
	_, _, err := load(t, []string{"--store=memory"}, nil, "store: mysql\n")
	if faults := unjoin(t, err); len(faults) != 1 || !strings.HasPrefix(faults[0], "weir.yaml: store:") {
		t.Error(faults)
	}
}

// Whoever mends one fault wants to know of the others too.
func TestFaultsOfAFile_AreAllTold(t *testing.T) {
	_, _, err := load(t, nil, nil, "foo: 1\nstore: 5\nmax_descriptors: 0\nGRPC_LISTEN: z\nheaders:\n")
	faults := unjoin(t, err)
	for _, want := range []string{`"foo"`, "store", "max_descriptors", `"GRPC_LISTEN"`, "headers"} {
		if !slices.ContainsFunc(faults, func(fault string) bool { return strings.Contains(fault, want) }) {
			t.Errorf("nothing is said of %s: %q", want, faults)
		}
	}
}

func TestUnknownKey_NamesFileKeyAndNearestName(t *testing.T) {
	for content, want := range map[string]string{
		"grpc_listn: x":               `unknown setting "grpc_listn": did you mean grpc_listen?`,
		"grpc: {listen: x}":           `unknown setting "grpc": settings are flat, as in grpc_listen`,
		"grpc-listen: x":              `unknown setting "grpc-listen": did you mean grpc_listen?`,
		"zzz: 1":                      `unknown setting "zzz": weir serve --help lists the settings`,
		"config: other.yaml":          `unknown setting "config": weir serve`,
		"store: redis\nSTORE: memory": `unknown setting "STORE": settings are written in lower case`,
		`"a\e[31mb": 1`:               `unknown setting "a\x1b[31mb": weir serve`,
	} {
		_, _, err := load(t, nil, nil, content)
		if faults := unjoin(t, err); len(faults) != 1 || !strings.HasPrefix(faults[0], "weir.yaml: "+want) {
			t.Errorf("%s: got %q", content, faults)
		}
	}
}

func TestFileThatIsNoMapping_IsAFault(t *testing.T) {
	for content, want := range map[string]string{
		"- rules":                          "weir.yaml: not a mapping of settings",
		"rules: a\nrules: b":               "weir.yaml: not a mapping of settings",
		"rules: 'a":                        "weir.yaml: not a mapping of settings",
		"rules: a\n---\nstore: redis":      "weir.yaml: more than one YAML document",
		"# x\n---\nrules: a\n\n---\n# end": "weir.yaml: more than one YAML document",
	} {
		_, _, err := load(t, nil, nil, content)
		if faults := unjoin(t, err); len(faults) != 1 || !strings.HasPrefix(faults[0], want) {
			t.Errorf("%q: got %q", content, faults)
		}
	}
	if settings, _, err := load(t, nil, nil, "# x\n---\nrules: a # ---\n"); err != nil || settings.Rules != "a" {
		t.Errorf("one document after ---: %v %v", settings.Rules, err)
	}
}

func TestNamedFileThatIsMissing_IsAFaultAndTheDefaultFileIsNot(t *testing.T) {
	if _, _, err := load(t, nil, nil, ""); err != nil {
		t.Errorf("no %s: %v", DefaultFile, err)
	}
	for _, source := range []struct{ args, environ []string }{
		{[]string{"--config", "other.yaml"}, nil},
		{nil, []string{"WEIR_CONFIG=other.yaml"}},
	} {
		_, _, err := load(t, source.args, source.environ, "rules: x")
		if err == nil || !strings.Contains(err.Error(), "other.yaml") || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: %v", source, err)
		}
	}
}

func TestConfigFlag_IsStrongerThanItsVariable(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), "rules: from-a")
	write(t, filepath.Join(dir, "b.yaml"), "rules: from-b")
	environ := []string{"WEIR_CONFIG=" + filepath.Join(dir, "b.yaml")}
	for want, args := range map[string][]string{"from-b": nil, "from-a": {"--config", filepath.Join(dir, "a.yaml")}} {
		settings, _, err := load(t, args, environ, "rules: from-default")
		if err != nil || settings.Rules != want {
			t.Errorf("got %q %v, want %q", settings.Rules, err, want)
		}
	}
}

func TestAddressesOfServersAndPairs_AreLookedAt(t *testing.T) {
	for args, good := range map[string]bool{
		"--rules-ads=host:1": true, "--rules-ads=[::1]:18001": true, "--rules-ads=:1": false, "--rules-ads=host": false, "--rules-ads=host:0": false, "--rules-ads=host:x": false,
		"--rules-ads-metadata=a=b": true, "--rules-ads-metadata=a=b,c=d=e": true, "--rules-ads-metadata=a=b,": false, "--rules-ads-metadata= =b": false,
		"--rules-ads-headers=x-a=b, authorization=Bearer x=": true, "--rules-ads-headers=x-a": false, "--rules-ads-headers=X-A=b": false, "--rules-ads-headers=x a=b": false,
		"--rules-ads-headers=grpc-timeout=1": false, "--rules-ads-headers=a=ü": false, "--rules-ads-headers=a=b\rc": false,
	} {
		if _, _, err := load(t, []string{args}, nil, ""); (err == nil) != good {
			t.Errorf("%s: %v", args, err)
		}
	}
	if got := Pairs("a=b, c = d=e ,f="); !reflect.DeepEqual(got, map[string]string{"a": "b", "c": "d=e", "f": ""}) {
		t.Errorf("%q", got)
	}
}

func TestRequiredSetting_IsAskedForByAllItsNames(t *testing.T) {
	_, _, err := load(t, []string{"--rules="}, []string{"WEIR_RULES="}, "", "rules")
	if faults := unjoin(t, err); len(faults) != 1 || faults[0] != "--rules is not set: give it, or set WEIR_RULES or `rules` in the settings file" {
		t.Error(faults)
	}
	if _, _, err := load(t, nil, nil, "rules: x", "rules"); err != nil {
		t.Error(err)
	}
	_, _, err = load(t, nil, nil, "", "rules", "rules-ads")
	if faults := unjoin(t, err); len(faults) != 1 || !strings.HasSuffix(faults[0], ", or give --rules-ads") {
		t.Error(faults)
	}
	if _, _, err := load(t, nil, nil, "rules_ads: x:1", "rules", "rules-ads"); err != nil {
		t.Error(err)
	}
	_, _, err = load(t, nil, nil, "ruels: x", "rules")
	if faults := unjoin(t, err); len(faults) != 1 {
		t.Errorf("what a faulty file may have meant to set is not called missing: %q", faults)
	}
}
