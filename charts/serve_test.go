package charts

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	"github.com/weir-rls/weir/internal/app"
	"github.com/weir-rls/weir/internal/config"
)

// environ is weir's environment as the kubelet would make it, with something that
// will do for each secret.
func environ(t *testing.T, r release) map[string]string {
	t.Helper()
	variables := map[string]string{}
	for _, e := range container(r).Env {
		if _, twice := variables[e.Name]; twice {
			t.Errorf("%s is set twice", e.Name)
		}
		value := e.Value
		if e.ValueFrom != nil {
			value = strings.Repeat("s", 32)
			if e.ValueFrom.SecretKeyRef.Name == "" || e.ValueFrom.SecretKeyRef.Key == "" {
				t.Errorf("%s is of no secret: %+v", e.Name, e.ValueFrom.SecretKeyRef)
			}
			if e.Name == "WEIR_REDIS_URL" {
				value = "redis://:secret@redis:6379/0"
			}
		}
		variables[e.Name] = value
	}
	return variables
}

// settingsOf are the settings that weir would have.
func settingsOf(t *testing.T, r release) config.Settings {
	t.Helper()
	if args := container(r).Args; len(args) != 1 || args[0] != "serve" {
		t.Errorf("args %q", args)
	}
	var all []string
	for name, value := range environ(t, r) {
		all = append(all, name+"="+value)
	}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.AddFlags(flags)
	s, warnings, err := config.Load(flags, all, "rules", "rules-ads")
	if err != nil || len(warnings) > 0 {
		t.Errorf("weir would not accept its settings: %v, warnings %q", err, warnings)
	}
	if err := s.Consistent(); err != nil {
		t.Error(err)
	}
	return s
}

// What the chart says to weir is understood by weir, and by each part of the chart
// alike.
func TestSettingsAreAcceptedByWeir(t *testing.T) {
	files := valuesFiles(t)
	releases := map[string]release{}
	for name, values := range files {
		releases[name] = install(t, values)
	}
	for name, want := range map[string]func(config.Settings) bool{
		"minimal": func(s config.Settings) bool {
			return s.Store == "redis" && s.Replicas == 2 && strings.HasPrefix(reveal(s), "redis://weir-valkey:6379/")
		},
		"memory": func(s config.Settings) bool {
			return s.Store == "memory" && s.MemoryMaxBuckets == 2_000_000 && s.DrainTimeout == 90*time.Second
		},
		"redis": func(s config.Settings) bool {
			return s.Store == "redis" && s.Replicas == 12 && !s.Leases && s.ReceiptKey != "" && s.AdminTokensFile == "/etc/weir/admin/tokens"
		},
		"ads": func(s config.Settings) bool {
			return s.Rules == "" && s.RulesADS == "envoy-gateway:18001" && s.RulesADSKey == "/certs/tls.key"
		},
		"everything": func(s config.Settings) bool {
			return s.GRPCClientCA == "/etc/weir/tls/grpc/ca.crt" && s.HTTPCert == "/etc/weir/tls/http/tls.crt" && s.LineListen == ":8082" &&
				strings.HasPrefix(reveal(s), "redis://limiter-valkey:6379") && s.RedisPasswordFile == "/etc/weir/redis/password"
		},
		"rediss": func(s config.Settings) bool {
			return s.Store == "redis" && s.RedisCA == "/etc/weir/tls/redis/ca.crt" && s.RedisKey == "/etc/weir/tls/redis/tls.key" && s.RedisPasswordFile != ""
		},
	} {
		if s := settingsOf(t, releases[name]); !want(s) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func reveal(s config.Settings) string { return string(s.RedisURL) }

// weir runs on what the chart gives it: the rules are read from the layout in which
// a ConfigMap is mounted, and each probe is answered as the kubelet wants it.
func TestProbesAreAnsweredByWeir(t *testing.T) {
	r := install(t, valuesFiles(t)["memory"])
	s := settingsOf(t, r)
	s.GRPCListen, s.HTTPListen, s.DrainDelay = "127.0.0.1:0", "127.0.0.1:0", 0
	s.Rules = mount(t, r.rules)
	a, err := app.New(s, app.Options{Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	c := container(r)
	for name, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
		if probe.HTTPGet.Port.StrVal != "http" || probe.HTTPGet.Scheme != corev1.URISchemeHTTP {
			t.Errorf("%s asks %+v", name, probe.HTTPGet)
		}
		answer, err := http.Get("http://" + a.HTTPAddr() + probe.HTTPGet.Path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s answered %s: %s", name, probe.HTTPGet.Path, answer.Status, body)
		}
	}
	if probe := container(install(t, valuesFiles(t)["everything"])).ReadinessProbe; probe.HTTPGet.Scheme != corev1.URISchemeHTTPS {
		t.Errorf("with TLS it asks %+v", probe.HTTPGet)
	}
}

// mount lays a ConfigMap out as the kubelet does.
func mount(t *testing.T, rules *corev1.ConfigMap) string {
	t.Helper()
	dir := t.TempDir()
	version := filepath.Join(dir, "..2026_01_01_00_00_00.1")
	if err := os.Mkdir(version, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Base(version), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	for name, content := range rules.Data {
		if err := os.WriteFile(filepath.Join(version, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
