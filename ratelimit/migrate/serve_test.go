package migrate

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/ratelimit/settings"
)

// variables are those of the reference: the names that settings read, but for weir's own.
func variables() (all []string) {
	for group := range reflect.TypeFor[settings.Settings]().Fields() {
		for field := range group.Type.Fields() {
			if name, known := field.Tag.Lookup("env"); known && name != "-" && group.Name != "Weir" {
				all = append(all, group.Tag.Get("envPrefix")+name)
			}
		}
	}
	return all
}

func TestServe_EveryVariableHasAFlagOrAReason(t *testing.T) {
	known := variables()
	if len(known) < 114 {
		t.Fatalf("%d variables", len(known))
	}
	for _, name := range known {
		if counterparts[name] == nil {
			t.Errorf("%s is not told of", name)
		}
	}
	for name := range counterparts {
		if !slices.Contains(known, name) {
			t.Errorf("%s is no variable of the reference", name)
		}
	}
}

// manifest is a file of the environment, of a container beside another one.
const manifest = `apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, spec: {ports: [{port: 8081}]}}
- kind: Deployment
  spec:
    template:
      spec:
        containers:
        - {name: sidecar, env: [{name: PORT, value: "1"}]}
        - name: envoy-ratelimit
          env:
`

func env(lines ...string) string {
	text := manifest
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		text += "          - {name: " + name + ", value: '" + value + "'}\n"
	}
	return text
}

func environment(t *testing.T, name, content string) Environment {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := ReadEnvironment(path)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func serve(t *testing.T, e Environment) Serve {
	t.Helper()
	made, err := ToServe(e, "rules")
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// What Envoy Gateway gives its rate limit service, and what Istio's sample does.
func TestServe_SaysWhatGatewaysGive(t *testing.T) {
	gateway := []string{
		"RUNTIME_ROOT=/data", "RUNTIME_SUBDIRECTORY=ratelimit", "RUNTIME_IGNOREDOTFILES=true", "RUNTIME_WATCH_ROOT=false", "LOG_LEVEL=info", "USE_STATSD=false",
		"CONFIG_TYPE=GRPC_XDS_SOTW", "CONFIG_GRPC_XDS_SERVER_URL=envoy-gateway:18001", "CONFIG_GRPC_XDS_NODE_ID=envoy-ratelimit", "GRPC_SERVER_USE_TLS=true",
		"GRPC_SERVER_TLS_CERT=/certs/tls.crt", "GRPC_SERVER_TLS_KEY=/certs/tls.key", "GRPC_SERVER_TLS_CA_CERT=/certs/ca.crt", "CONFIG_GRPC_XDS_SERVER_USE_TLS=true",
		"CONFIG_GRPC_XDS_CLIENT_TLS_CERT=/certs/tls.crt", "CONFIG_GRPC_XDS_CLIENT_TLS_KEY=/certs/tls.key", "CONFIG_GRPC_XDS_SERVER_TLS_CACERT=/certs/ca.crt",
		"FORCE_START_WITHOUT_INITIAL_CONFIG=true", "REDIS_SOCKET_TYPE=tcp", "REDIS_URL=redis:6379", "USE_PROMETHEUS=true", "PROMETHEUS_ADDR=:19001",
	}
	istio := []string{"LOG_LEVEL=debug", "REDIS_SOCKET_TYPE=tcp", "REDIS_URL=redis:6379", "USE_STATSD=false", "RUNTIME_ROOT=/data", "RUNTIME_SUBDIRECTORY=ratelimit", "RUNTIME_WATCH_ROOT=false", "RUNTIME_IGNOREDOTFILES=true", "HOST=::", "GRPC_HOST=::"}
	for _, c := range []struct {
		environ []string
		flags   string
		without string
	}{
		{gateway, "--wait-for-rules=false --rules-ads envoy-gateway:18001 --rules-ads-node envoy-ratelimit --rules-ads-ca /certs/ca.crt --rules-ads-cert /certs/tls.crt --rules-ads-key /certs/tls.key " +
			"--grpc-cert /certs/tls.crt --grpc-key /certs/tls.key --store redis --redis-url redis://redis:6379 --log-level info", "PROMETHEUS_ADDR USE_PROMETHEUS"},
		{istio, "--rules rules --store redis --redis-url redis://redis:6379 --log-level debug", ""},
	} {
		for name, content := range map[string]string{"deployment.yaml": env(c.environ...), "old.env": "# comment\n\n" + strings.Join(c.environ, "\n") + "\n"} {
			made := serve(t, environment(t, name, content))
			var without []string
			for _, n := range made.Without {
				without = append(without, n.Variable)
			}
			if got := strings.Join(made.Flags, " "); got != c.flags || strings.Join(without, " ") != c.without {
				t.Errorf("%s\n%s\nwant %s\n%+v", name, got, c.flags, made.Without)
			}
		}
	}
}

// Each variable that flags can say, what they say then, and that weir takes them.
func TestServe_FlagsAreThoseOfWeirServe(t *testing.T) {
	tcp := []string{"REDIS_SOCKET_TYPE=tcp", "REDIS_URL=r:6379"}
	ads := append([]string{"CONFIG_TYPE=GRPC_XDS_SOTW"}, tcp...)
	tls := append([]string{"CONFIG_GRPC_XDS_SERVER_USE_TLS=true"}, ads...)
	server := append([]string{"GRPC_SERVER_USE_TLS=true", "GRPC_SERVER_TLS_CERT=c", "GRPC_SERVER_TLS_KEY=k"}, tcp...)
	for _, c := range []struct {
		base  []string
		more  string
		flags string
	}{
		{tcp, "", "--store redis --redis-url redis://r:6379 --log-level warn"},
		{tcp, "BACKEND_TYPE=memory", "!--store"},
		{tcp, "BACKEND_TYPE=memcache", "!--store"},
		{tcp, "PORT=9090", "--http-listen :9090"},
		{tcp, "HOST=127.0.0.1", "--http-listen 127.0.0.1:8080"},
		{tcp, "GRPC_HOST=::1 GRPC_PORT=1", "--grpc-listen '[::1]:1'"},
		{tcp, "GRPC_MAX_CONNECTION_AGE=0", "--grpc-max-connection-age 0s"},
		{tcp, "GRPC_MAX_CONNECTION_AGE=90m GRPC_MAX_CONNECTION_AGE_GRACE=10m", "--grpc-max-connection-age 1h30m --grpc-max-connection-age-grace 10m"},
		{tcp, "LOG_LEVEL=trace", "--log-level debug"},
		{tcp, "LIMIT_RESPONSE_HEADERS_ENABLED=true", "--headers draft10"},
		{tcp, "LIMIT_RESPONSE_HEADERS_ENABLED=true LIMIT_LIMIT_HEADER=x-ratelimit-limit", "--headers legacy"},
		{tcp, "TRACING_ENABLED=true TRACING_EXPORTER_PROTOCOL=grpc TRACING_SAMPLING_RATE=0.5", "--tracing otlp-grpc --tracing-sample 0.5"},
		{server, "GRPC_CLIENT_TLS_CACERT=ca GRPC_CLIENT_TLS_SAN=spiffe://x", "--grpc-cert c --grpc-key k --grpc-client-ca ca --grpc-client-names spiffe://x"},
		{ads, "", "--rules-ads localhost:18000 --rules-ads-node default"},
		{ads, "CONFIG_GRPC_XDS_NODE_METADATA=b=1,a=2 MERGE_DOMAIN_CONFIG=true XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES=1000", "--merge-domains --rules-ads localhost:18000 --rules-ads-node default --rules-ads-metadata a=2,b=1 --rules-ads-max-bytes 1000"},
		{tls, "CONFIG_GRPC_XDS_SERVER_TLS_SAN=n", "--rules-ads-ca /etc/ssl/certs/ca-certificates.crt --rules-ads-server-name n"},
		{tcp, "REDIS_HEALTH_CHECK_ACTIVE_CONNECTION=true", "--wait-for-store"},
		{tcp, "REDIS_TLS=true REDIS_TLS_CLIENT_CERT=c REDIS_TLS_CLIENT_KEY=k REDIS_TLS_CACERT=a", "--redis-url rediss://r:6379 --redis-cert c --redis-key k --redis-ca a"},
		{tcp, "REDIS_AUTH=hidden", "--redis-url redis://r:6379 --redis-password-file /etc/weir/redis-password"},
		{tcp, "REDIS_AUTH=user:hidden REDIS_POOL_SIZE=7", "--redis-url 'redis://user@r:6379/?pool_size=7' --redis-password-file /etc/weir/redis-password"},
		{tcp, "REDIS_URL=redis://u:hidden@h:1/3", "--redis-url redis://u@h:1/3"},
		{tcp, "REDIS_TYPE=SENTINEL REDIS_URL=m,h1:1,h2:2", "--redis-url 'redis://h1:1/?addr=h2:2&master_name=m'"},
		{tcp, "REDIS_TYPE=cluster REDIS_URL=h1:1,h2:2", "--redis-url 'redis://h1:1/?addr=h2:2&cluster=true'"},
		{tcp, "REDIS_SOCKET_TYPE=unix REDIS_URL=/run/redis.sock", "!--redis-url"},
	} {
		e := Environment{Values: map[string]string{}}
		for _, assignment := range append(slices.Clone(c.base), strings.Fields(c.more)...) {
			e.set(assignment)
		}
		made := serve(t, e)
		all := strings.Join(made.Flags, " ")
		if no, absent := strings.CutPrefix(c.flags, "!"); absent == strings.Contains(all, no) {
			t.Errorf("%s: %s, want %s", c.more, all, c.flags)
		}
		if strings.Contains(all, "hidden") {
			t.Errorf("%s: a password is told: %s", c.more, all)
		}
		flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		config.AddFlags(flags)
		var args []string
		for _, flag := range made.Flags {
			name, value, stated := strings.Cut(flag, " ")
			if args = append(args, name); stated {
				args = append(args, strings.Trim(value, "'"))
			}
		}
		if err := flags.Parse(args); err != nil {
			t.Errorf("%s: %v", all, err)
		}
		if _, _, err := config.Load(flags, nil, "rules", "rules-ads"); err != nil {
			t.Errorf("%s: %v", all, err)
		}
	}
}

// What is set and has no flag is told with the reason, and what is off is not.
func TestServe_WhatHasNoFlagIsNamed(t *testing.T) {
	idle := serve(t, environment(t, "old.env", "export REDIS_URL='r:1'\nREDIS_SOCKET_TYPE=\"tcp\"\nSHADOW_MODE=false\nREDIS_PERSECOND=0\nUSE_DOG_STATSD=\nUNKNOWN=1\n"))
	if len(idle.Without) > 0 || idle.Options.Shadow {
		t.Errorf("%+v", idle)
	}
	busy := environment(t, "compose.yml", "services: {ratelimit: {environment: [SHADOW_MODE=true, QUOTA_MODE=true, BACKEND_TYPE=memcache, 'MEMCACHE_HOST_PORT=m:1', MERGE_DOMAIN_CONFIG=true]}, redis: {environment: {A: b}}}\n")
	made := serve(t, busy)
	for i, want := range []string{"BACKEND_TYPE", "MEMCACHE_HOST_PORT", "QUOTA_MODE", "SHADOW_MODE"} {
		if len(made.Without) != 4 || made.Without[i].Variable != want || made.Without[i].Why == "" {
			t.Fatalf("%+v", made.Without)
		}
	}
	if want := (Options{MergeDomains: true, Shadow: true, Quota: true}); made.Options != want {
		t.Errorf("%+v", made.Options)
	}
	hidden := environment(t, "d.yaml", "containers:\n- {env: [{name: REDIS_URL, value: 'r:1'}, {name: REDIS_SOCKET_TYPE, value: tcp}, {name: REDIS_AUTH, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: LOG_LEVEL, valueFrom: {}}], envFrom: [{configMapRef: {name: c}}]}\n")
	if made := serve(t, hidden); len(made.Without) != 3 || made.Without[1].Variable != "REDIS_AUTH" || !strings.Contains(made.Without[1].Why, "password") || !slices.Contains(made.Flags, "--redis-password-file /etc/weir/redis-password") {
		t.Errorf("%+v", made.Without)
	}
}

func TestReadEnvironment_TellsWhatItCannotRead(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"old.env": {"A=b\nREDIS_AUTH hunter2\n", "old.env:2: the line is not NAME=value"},
		"d.yaml":  {"kind: Service\n", "no container has a variable of envoyproxy/ratelimit"},
		"e.yaml":  {"env: [\n", "e.yaml:2:1: error: not YAML"},
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadEnvironment(path); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadEnvironment("absent.env"); err == nil {
		t.Error("an absent file was read")
	}
	if _, err := ToServe(Environment{Values: map[string]string{"PORT": "eighty"}}, "rules"); err == nil || !strings.Contains(err.Error(), "PORT") {
		t.Errorf("%v", err)
	}
}

func TestFind_ReadsTheDirectoriesThatTheReferenceDoes(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"sub/config/b.txt", "sub/config/a", "sub/config/deep/c.yaml", "sub/config/.hidden", "sub/config/..data/a", "config/d", "sub/other/e"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", filepath.Join(root, "sub/config/link")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tree      Tree
		dir, want string
	}{
		{Tree{Subdirectory: "sub"}, "", "sub/config/a sub/config/b.txt sub/config/deep/c.yaml"},
		{Tree{}, "", "config/d"},
		{Tree{}, "sub", "sub/config/a sub/config/b.txt sub/config/deep/c.yaml"},
		{Tree{Subdirectory: "sub", App: "other"}, "", "sub/other/e"},
		{Tree{}, "sub/other", "sub/other/e"},
		{Tree{}, "sub/other/e", "sub/other/e"},
		{Tree{}, "sub/config/deep/none", ""},
	} {
		found, err := c.tree.Find(filepath.Join(root, c.dir))
		for i := range found {
			found[i], _ = filepath.Rel(root, found[i])
		}
		if got := strings.Join(found, " "); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%+v %s: %s, %v", c.tree, c.dir, got, err)
		}
	}
	if err := os.Symlink("../config", filepath.Join(root, "config/loop")); err != nil {
		t.Fatal(err)
	}
	if found, err := (Tree{}).Find(root); err != nil || len(found) != 1 {
		t.Errorf("%s, %v", found, err)
	}
}
