package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Load combines flags over environ ("NAME=value" as in os.Environ) over the
// settings file over the defaults. required are names of settings that must
// have a value. A variable that is set to nothing counts as not set.
//
// The error joins all faults (errors.Join), each with the setting, where it
// came from and the remedy. warnings are texts about variables that weir does
// not know; they matter to nobody's requests, and Kubernetes injects some.
func Load(flags *pflag.FlagSet, environ []string, required ...string) (settings Settings, warnings []string, err error) {
	environment, warnings := fromEnvironment(environ)
	name, named := fileName(flags, environment)
	file, faults := readFile(name, named)

	v := viper.New()
	for _, s := range table {
		v.SetDefault(s.key(), s.def)
	}
	for _, source := range [][]given{file, environment.values, fromFlags(flags)} {
		values := map[string]any{}
		for _, g := range source {
			value, err := g.setting.parse(g.raw)
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", g.from, err))
				continue
			}
			values[g.setting.key()] = value
		}
		// viper would keep the old value where the types differ; after parse
		// they never do.
		if err := v.MergeConfigMap(values); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) == 0 { // otherwise what is missing may stand in what could not be read
		faults = missing(v, required)
	}
	if len(faults) > 0 {
		return Settings{}, warnings, errors.Join(faults...)
	}
	if err := v.UnmarshalExact(&settings); err != nil {
		return Settings{}, warnings, err
	}
	return settings, warnings, nil
}

// given is a value that somebody wrote for a setting.
type given struct {
	setting setting
	raw     any
	from    string // where, as errors call it
}

func fromFlags(flags *pflag.FlagSet) []given {
	var values []given
	for _, s := range table {
		if flag := flags.Lookup(s.name); flag != nil && flag.Changed {
			values = append(values, given{s, flag.Value.String(), "--" + s.name})
		}
	}
	return values
}

// fileName is the settings file to read, and whether somebody asked for it.
func fileName(flags *pflag.FlagSet, environment variables) (name string, named bool) {
	if flag := flags.Lookup(configFlag); flag != nil && flag.Changed {
		return flag.Value.String(), true
	}
	if environment.file != "" {
		return environment.file, true
	}
	return DefaultFile, false
}

// secondDocument finds the line that starts a second YAML document, which viper
// would not read: one of "---" after a line that is more than a comment.
var secondDocument = regexp.MustCompile(`(?m)^ *[^\s#%-][^\n]*\n(?s:.*\n)?---(\s|$)`)

// readFile reads the settings file. One that nobody named may be absent.
func readFile(name string, named bool) ([]given, []error) {
	content, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) && !named {
		return nil, nil
	}
	if err != nil {
		if failed, ok := errors.AsType[*os.PathError](err); ok {
			err = failed.Err
		}
		return nil, []error{fmt.Errorf("%s: the settings file cannot be read: %w", name, err)}
	}
	v := viper.New()
	v.SetConfigType("yaml")
	if err := v.ReadConfig(strings.NewReader(string(content))); err != nil {
		return nil, []error{fmt.Errorf("%s: not a mapping of settings such as `store: redis`: %w", name, err)}
	}
	var values []given
	var faults []error
	if secondDocument.Match(content) {
		faults = append(faults, fmt.Errorf("%s: more than one YAML document: remove the line --- and what is not meant", name))
	}
	keys := v.AllKeys()
	slices.Sort(keys)
	for _, key := range keys {
		s, known := byKey(key)
		switch {
		case !known:
			faults = append(faults, fmt.Errorf("%s: unknown setting %s%s", name, quote(key), suggest(key)))
		case v.Get(key) == nil:
			faults = append(faults, fmt.Errorf("%s: %s: no value: give one or remove the line", name, key))
		default:
			values = append(values, given{s, v.Get(key), name + ": " + key})
		}
	}
	return values, faults
}

// suggest names the setting whose key is nearest to an unknown one.
func suggest(key string) string {
	var keys []string
	for _, s := range table {
		keys = append(keys, s.key())
	}
	if near, ok := Nearest(key, keys); ok {
		return ": did you mean " + near + "?"
	}
	return ": weir serve --help lists the settings, here written with _ for -"
}

// missing are the faults of required settings without a value.
func missing(v *viper.Viper, required []string) []error {
	var faults []error
	for _, s := range table {
		if slices.Contains(required, s.name) && v.Get(s.key()) == s.zero() {
			faults = append(faults, fmt.Errorf("--%s is not set: give it, or set %s or `%s` in the settings file", s.name, s.env(), s.key()))
		}
	}
	return faults
}
