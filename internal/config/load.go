package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Load combines flags over environ ("NAME=value" as in os.Environ) over the
// settings file over the defaults. required are names of settings of which one
// must have a value. A variable that is set to nothing counts as not set.
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

// missing is the fault of required settings of which none has a value.
func missing(v *viper.Viper, required []string) []error {
	message := ""
	for _, s := range table {
		switch {
		case !slices.Contains(required, s.name):
		case v.Get(s.key()) != s.zero():
			return nil
		case message == "":
			message = fmt.Sprintf("--%s is not set: give it, or set %s or `%s` in the settings file", s.name, s.env(), s.key())
		default:
			message += fmt.Sprintf(", or give --%s", s.name)
		}
	}
	if message == "" {
		return nil
	}
	return []error{errors.New(message)}
}
