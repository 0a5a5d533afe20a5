package settings

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func read(t *testing.T, environ ...string) Settings {
	t.Helper()
	s, _, err := Read(environ)
	if err != nil {
		t.Fatalf("%q: %v", environ, err)
	}
	return s
}

// value of a variable among all settings.
func (v variable) value(s Settings) reflect.Value {
	return reflect.ValueOf(s).FieldByIndex(v.at)
}

// The reference has 114 variables at the version that weir follows. What is beside them
// came later, or is weir's.
func TestEveryVariableOfTheReferenceIsThere(t *testing.T) {
	reference := 0
	seen := map[string]bool{}
	for _, v := range variables() {
		if seen[v.name] {
			t.Errorf("%s is there twice", v.name)
		}
		seen[v.name] = true
		if !v.own && v.name != "REDIS_CLOSE_CONNECTION_ON_READONLY_ERROR" { // which came later
			reference++
		}
		if v.usage == "" {
			t.Errorf("%s has no meaning", v.name)
		}
	}
	if reference != 114 {
		t.Errorf("%d variables of the reference, not 114", reference)
	}
}

// Each variable alone is read into its own field and changes no other.
func TestEachVariableIsReadIntoItsField(t *testing.T) {
	defaults := read(t)
	values := map[string]string{
		"LOG_LEVEL": "debug", "CONFIG_TYPE": "GRPC_XDS_SOTW", "BACKEND_TYPE": "memory", "REDIS_SOCKET_TYPE": "tcp", "REDIS_TYPE": "cluster",
		"REDIS_PERSECOND_SOCKET_TYPE": "tcp", "REDIS_PERSECOND_TYPE": "sentinel", "TRACING_EXPORTER_PROTOCOL": "grpc",
		"TRACING_SAMPLING_RATE": "0.25", "XDS_CLIENT_BACKOFF_RANDOM_FACTOR": "0.25",
	}
	beside := map[string]string{"GRPC_SERVER_USE_TLS": "GRPC_SERVER_TLS_CERT=c GRPC_SERVER_TLS_KEY=k", "USE_PROMETHEUS": "USE_STATSD=0", "USE_DOG_STATSD": "USE_STATSD=0"}
	for _, v := range variables() {
		value, given := values[v.name]
		if !given {
			value = sample(v, defaults)
		}
		got := read(t, append(strings.Fields(beside[v.name]), v.name+"="+value)...)
		want := read(t, strings.Fields(beside[v.name])...)
		for _, other := range variables() {
			changed := !reflect.DeepEqual(other.value(got).Interface(), other.value(want).Interface())
			if changed != (other.name == v.name) {
				t.Errorf("%s=%s: %s is %v, and was %v", v.name, value, other.name, other.value(got), other.value(want))
			}
		}
	}
}

// sample is a value that is not the default.
func sample(v variable, defaults Settings) string {
	switch was := v.value(defaults).Interface().(type) {
	case bool:
		return fmt.Sprint(!was)
	case int:
		return "77"
	case time.Duration:
		return "77s"
	case float32, float64:
		return "0.25"
	case []string:
		return "a,b"
	}
	if v.kind.Kind() == reflect.Map {
		return "a:b,c:d:e"
	}
	return "something"
}

func TestValuesAreReadAsTheReferenceReadsThem(t *testing.T) {
	s := read(t, "PORT=0x1f90", "DEBUG_PORT=010", "USE_STATSD=F", "USE_PROMETHEUS=T", "STATS_FLUSH_INTERVAL=1m30s", "NEAR_LIMIT_RATIO=.7",
		"EXTRA_TAGS=env:prod,zone:a", "USE_DOG_STATSD_MOGRIFIERS=A,B", "DOG_STATSD_MOGRIFIER_A_PATTERN=^x$", "DOG_STATSD_MOGRIFIER_A_NAME=y", "DOG_STATSD_MOGRIFIER_A_TAGS=k:$1,l:m", "CONFIG_GRPC_XDS_NODE_METADATA=a=b=c,nothing,d=", "LOG_LEVEL=Warning", "LOG_FORMAT=JSON",
		"HOST=", "REDIS_POOL_SIZE=", "TRACING_ENABLED=1")
	for what, ok := range map[string]bool{
		"hexadecimal": s.Server.Port == 8080, "octal": s.Server.DebugPort == 8, "F": !s.Stats.UseStatsd, "T": s.Stats.UsePrometheus && s.Tracing.Enabled,
		"duration": s.Stats.FlushInterval == 90*time.Second, "ratio": s.Limits.NearLimitRatio == float32(.7),
		"map":        reflect.DeepEqual(s.Stats.ExtraTags, map[string]string{"env": "prod", "zone": "a"}),
		"list":       reflect.DeepEqual(s.Stats.MogrifierNames, []string{"A", "B"}),
		"mogrifiers": reflect.DeepEqual(s.Stats.Mogrifiers, []Mogrifier{{"A", "^x$", "y", map[string]string{"k": "$1", "l": "m"}}, {"B", "", "", map[string]string{}}}),
		"pairs":      reflect.DeepEqual(s.XDS.Pairs(), map[string]string{"a": "b=c", "d": ""}),
		"level":      s.Log.Severity() == 4, "json": s.Log.JSON(), "nothing is not set": s.Server.Host == "0.0.0.0" && s.Redis.PoolSize == 10,
	} {
		if !ok {
			t.Errorf("%s: %+v", what, s)
		}
	}
}

func TestWrongValues_NameTheVariableTheValueAndWhatIsAccepted(t *testing.T) {
	for environ, want := range map[string]string{
		"PORT=http":                  `PORT: "http" is not a whole number`,
		"PORT=65536":                 "PORT: 65536 is no port: give one from 0 to 65535",
		"USE_STATSD=yes":             `USE_STATSD: "yes" is not a boolean: true, t or 1, or false, f or 0`,
		"GRPC_MAX_CONNECTION_AGE=24": `GRPC_MAX_CONNECTION_AGE: "24" is not a duration, such as 500ms, 10s or 1h30m`,
		"WEIR_DRAIN_DELAY=-1s":       "WEIR_DRAIN_DELAY: -1s is below 0",
		"STATS_FLUSH_INTERVAL=0s":    "STATS_FLUSH_INTERVAL: 0s is not above 0",
		"NEAR_LIMIT_RATIO=most":      `NEAR_LIMIT_RATIO: "most" is not a number`,
		"NEAR_LIMIT_RATIO=NaN":       "NEAR_LIMIT_RATIO: NaN is no share of a limit",
		"EXTRA_TAGS=a=b":             `EXTRA_TAGS: "a=b" is not KEY:VALUE,KEY:VALUE`,
		"CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS=s3cret":          "CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS: its value, which is not shown, is not KEY:VALUE",
		"USE_DOG_STATSD_MOGRIFIERS=A DOG_STATSD_MOGRIFIER_A_TAGS=k": `DOG_STATSD_MOGRIFIER_A_TAGS: "k" is not KEY:VALUE,KEY:VALUE`,
		"LOG_LEVEL=loud":                                 `LOG_LEVEL: "loud" is none of trace, debug,`,
		"CONFIG_TYPE=file":                               `CONFIG_TYPE: "file" is neither FILE nor GRPC_XDS_SOTW`,
		"BACKEND_TYPE=memcache":                          "BACKEND_TYPE: there is no memcached backend, whose counts are lost when calls meet: set redis and REDIS_URL, or, for one replica, memory",
		"BACKEND_TYPE=disk":                              `BACKEND_TYPE: "disk" is neither redis nor memory`,
		"REDIS_TYPE=ring":                                `REDIS_TYPE: "ring" is none of single, sentinel, cluster`,
		"REDIS_SOCKET_TYPE=udp":                          `REDIS_SOCKET_TYPE: "udp" is neither unix nor tcp`,
		"REDIS_POOL_SIZE=-1":                             "REDIS_POOL_SIZE: -1 is below 0",
		"REDIS_TIMEOUT=-1s":                              "REDIS_TIMEOUT: -1s is below 0",
		"REDIS_PERSECOND=1 REDIS_PERSECOND_TYPE=x":       `REDIS_PERSECOND_TYPE: "x" is none of`,
		"GRPC_SERVER_USE_TLS=1 GRPC_SERVER_TLS_CERT=c":   "GRPC_SERVER_USE_TLS needs GRPC_SERVER_TLS_CERT and GRPC_SERVER_TLS_KEY",
		"TRACING_SAMPLING_RATE=2":                        "TRACING_SAMPLING_RATE: 2 is not from 0 to 1",
		"TRACING_ENABLED=1 TRACING_EXPORTER_PROTOCOL=x":  `TRACING_EXPORTER_PROTOCOL: "x" is neither http nor grpc`,
		"XDS_CLIENT_BACKOFF_RANDOM_FACTOR=2":             "XDS_CLIENT_BACKOFF_RANDOM_FACTOR: 2 is not from 0 to 1",
		"XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES=-1":            "XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES: -1 is below 0",
		"LOCAL_CACHE_SIZE_IN_BYTES=-1":                   "LOCAL_CACHE_SIZE_IN_BYTES: -1 is below 0",
		"WEIR_MEMORY_MAX_BUCKETS=0":                      "WEIR_MEMORY_MAX_BUCKETS: 0 is below 1",
		"USE_PROMETHEUS=true":                            "statistics go to one place, and USE_STATSD and USE_PROMETHEUS are all on",
		"USE_DOG_STATSD=true":                            "USE_STATSD and USE_DOG_STATSD are all on",
		"USE_STATSD=0 USE_DOG_STATSD=1 USE_PROMETHEUS=1": "USE_DOG_STATSD and USE_PROMETHEUS are all on",
	} {
		_, _, err := Read(strings.Fields(environ))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %s", environ, err, want)
		}
	}
	_, _, err := Read([]string{"PORT=a", "GRPC_PORT=b"})
	if err == nil || !strings.Contains(err.Error(), "\nGRPC_PORT") {
		t.Errorf("not all faults are told at once: %v", err)
	}
}

// What the reference would end for, and what it does not know, ends nothing here.
func TestVariablesWithoutEffectAreToldAndNeverFatal(t *testing.T) {
	_, ignored, err := Read([]string{
		"REDIS_POOL_ON_EMPTY_BEHAVIOR=ERROR", "REDIS_CLUSTER_PIPELINE_PARALLELISM=-1", "MEMCACHE_HOST_PORT=m:11211", "MEMCACHE_TLS=perhaps",
		"GRPC_SERVER_TLS_CA_CERT=/certs/ca.crt", "UNHEARD_OF=1", "=::", "NOVALUE", "DISABLE_STATS=1", "USE_PROMETHEUS=1",
		"REDIS_USE_EXPLICIT_PIPELINE=x", "REDIS_AWS_IAM_AUTH=true",
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range ignored {
		names = append(names, i.Variable)
		if i.Why == "" {
			t.Errorf("%s is ignored without a reason", i.Variable)
		}
	}
	want := []string{"REDIS_CLUSTER_PIPELINE_PARALLELISM", "REDIS_POOL_ON_EMPTY_BEHAVIOR", "MEMCACHE_HOST_PORT", "MEMCACHE_TLS", "REDIS_USE_EXPLICIT_PIPELINE", "REDIS_AWS_IAM_AUTH"}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("%q are told to have no effect, want %q", names, want)
	}
}

func TestNoSecretIsPrinted(t *testing.T) {
	s := read(t, "REDIS_AUTH=s3cret", "REDIS_URL=redis://u:s3cret@h:1", "REDIS_SENTINEL_AUTH=s3cret", "REDIS_PERSECOND_AUTH=s3cret", "REDIS_PERSECOND_URL=s3cret",
		"REDIS_PERSECOND_SENTINEL_AUTH=s3cret", "CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS=authorization:s3cret")
	if text := fmt.Sprintf("%v %+v %#v", s, s, s); strings.Contains(text, "s3cret") {
		t.Error(text)
	}
	if s.Redis.Auth.Reveal() != "s3cret" || s.XDS.Headers["authorization"].Reveal() != "s3cret" {
		t.Error("secrets are not read")
	}
}

func TestOnCluster_WhereverHitsAreCountedInOne(t *testing.T) {
	for environ, want := range map[string]bool{
		"": false, "REDIS_TYPE=sentinel": false, "REDIS_TYPE=Cluster": true,
		"REDIS_TYPE=cluster BACKEND_TYPE=memory":         false,
		"REDIS_PERSECOND_TYPE=cluster":                   false, // there is no second Redis
		"REDIS_PERSECOND_TYPE=CLUSTER REDIS_PERSECOND=1": true,
	} {
		if got := read(t, strings.Fields(environ+" USE_STATSD=false")...).OnCluster(); got != want {
			t.Errorf("%q: %t, want %t", environ, got, want)
		}
	}
}
