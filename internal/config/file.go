package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"
)

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
	mapping, err := decode(content)
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", name, err)}
	}
	var values []given
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(mapping)) {
		s, known := byKey(key)
		switch {
		case key != strings.ToLower(key): // viper would take it for the same key in lower case
			faults = append(faults, fmt.Errorf("%s: unknown setting %s: settings are written in lower case", name, quote(key)))
		case !known && isMapping(mapping[key]):
			faults = append(faults, fmt.Errorf("%s: unknown setting %s: settings are flat, as in grpc_listen: HOST:PORT", name, quote(key)))
		case !known:
			faults = append(faults, fmt.Errorf("%s: unknown setting %s%s", name, quote(key), suggest(key)))
		case mapping[key] == nil:
			faults = append(faults, fmt.Errorf("%s: %s: no value: give one or remove the line", name, key))
		default:
			values = append(values, given{s, mapping[key], name + ": " + key})
		}
	}
	return values, faults
}

func isMapping(value any) bool {
	_, is := value.(map[string]any)
	return is
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

// decode reads one YAML mapping or nothing. viper's own decoder would pass over
// a second document.
func decode(content []byte) (mapping map[string]any, err error) {
	loader, err := yaml.NewLoader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	if err := loader.Load(&mapping); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("not a mapping of settings such as `store: redis`: %w", err)
	}
	if err := loader.Load(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document: remove the line --- and what is not meant")
	}
	return mapping, nil
}
