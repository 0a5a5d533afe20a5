package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
)

// A settings file of any content is read or refused; it never ends the process
// in any other way, and what is read is within what the settings allow.
func FuzzSettingsFile(f *testing.F) {
	for _, seed := range []string{
		"rules: x\nstore: redis\n", "drain_delay: 5", "a: {b: [1, {c: ~}]}", "? [a]\n: b", "1: 2\n~: 3\ntrue: 4", "&a rules: *a", "<<: {store: redis}",
		"grpc.listen: x\ngrpc: 1", "STORE: memory\nstore: redis", "\xff\xfe", "---\n...\n---\n", "headers: off", "max_descriptors: 0x10",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		name := filepath.Join(t.TempDir(), "weir.yaml")
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		AddFlags(flags)
		settings, _, err := Load(flags, []string{"WEIR_CONFIG=" + name})
		if err == nil && (settings.MaxDescriptors < 1 || settings.StoreTimeout <= 0 || settings.Store != StoreMemory && settings.Store != StoreRedis) {
			t.Errorf("%q gives %+v", content, settings)
		}
	})
}
