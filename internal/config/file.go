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
	"github.com/spf13/viper"
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
	v := viper.NewWithOptions(viper.WithDecoderRegistry(oneMapping{}))
	v.SetConfigType("yaml")
	if err := v.ReadConfig(bytes.NewReader(content)); err != nil {
		var reason viper.ConfigParseError
		if errors.As(err, &reason) {
			err = reason.Unwrap()
		}
		return nil, []error{fmt.Errorf("%s: %w", name, err)}
	}
	var values []given
	var faults []error
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

// oneMapping decodes a settings file for viper, whose own decoder would pass
// over a second document, and over a second spelling of a key in capitals.
type oneMapping struct{}

// Decoder makes oneMapping viper's decoder of every format.
func (d oneMapping) Decoder(string) (viper.Decoder, error) { return d, nil }

// Decode reads content, one YAML mapping or nothing, into settings.
func (oneMapping) Decode(content []byte, settings map[string]any) error {
	loader, err := yaml.NewLoader(bytes.NewReader(content))
	if err != nil {
		return err
	}
	var mapping map[string]any
	if err := loader.Load(&mapping); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("not a mapping of settings such as `store: redis`: %w", err)
	}
	if err := loader.Load(new(any)); !errors.Is(err, io.EOF) {
		return errors.New("more than one YAML document: remove the line --- and what is not meant")
	}
	for _, key := range slices.Sorted(maps.Keys(mapping)) {
		if key != strings.ToLower(key) {
			return fmt.Errorf("unknown setting %s: settings are written in lower case", quote(key))
		}
	}
	maps.Copy(settings, mapping)
	return nil
}
