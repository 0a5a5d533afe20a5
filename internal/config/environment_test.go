package config

import (
	"strings"
	"testing"
)

func TestUnknownVariable_IsAWarningAndNothingMore(t *testing.T) {
	settings, warnings, err := load(t, nil, []string{
		"WEIR_GRPC_LISTN=:9", "WEIR_\x1b[31m=1", "PATH=/bin", "weir_rules=x", "NOT_WEIR_RULES=x", "WEIR_RULES=r",
	}, "")
	if err != nil || settings.Rules != "r" || settings.GRPCListen != ":8081" {
		t.Errorf("%+v %v", settings, err)
	}
	want := []string{
		`environment variable "WEIR_GRPC_LISTN" is no setting of weir and is ignored: did you mean WEIR_GRPC_LISTEN?`,
		`environment variable "WEIR_\x1b[31m" is no setting of weir and is ignored`,
	}
	if strings.Join(warnings, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(warnings, "\n"))
	}
}

// A compose file passes on what it does not have as an empty variable.
func TestEmptyVariable_CountsAsNotSet(t *testing.T) {
	settings, warnings, err := load(t, nil, []string{"WEIR_STORE=", "WEIR_DRAIN_DELAY=", "WEIR_RULES=", "WEIR_CONFIG="}, "rules: x\nstore: redis\n")
	if err != nil || len(warnings) > 0 || settings.Store != StoreRedis || settings.Rules != "x" {
		t.Errorf("%+v %q %v", settings, warnings, err)
	}
}

// What Kubernetes injects for a Service named weir with the ports 8081 and
// `http`, and for one named weir-canary.
func TestKubernetesVariables_AreSilent(t *testing.T) {
	_, warnings, err := load(t, nil, []string{
		"WEIR_PORT=tcp://10.0.0.1:8081", "WEIR_SERVICE_HOST=10.0.0.1", "WEIR_SERVICE_PORT=8081", "WEIR_SERVICE_PORT_HTTP=8080",
		"WEIR_PORT_8081_TCP=tcp://10.0.0.1:8081", "WEIR_PORT_8081_TCP_PROTO=tcp", "WEIR_PORT_8081_TCP_PORT=8081", "WEIR_PORT_8081_TCP_ADDR=10.0.0.1",
		"WEIR_CANARY_PORT=tcp://10.0.0.2:1", "WEIR_CANARY_SERVICE_HOST=10.0.0.2", "WEIR_CANARY_SERVICE_PORT=1", "WEIR_CANARY_PORT_1_UDP_ADDR=10.0.0.2",
	}, "")
	if err != nil || len(warnings) > 0 {
		t.Errorf("%q %v", warnings, err)
	}
}

// A setting whose variable Kubernetes may inject could not be told from it.
func TestReservedNames_AreNoSettings(t *testing.T) {
	for _, s := range append(table, setting{name: configFlag}) {
		if reserved.MatchString(s.env()) {
			t.Errorf("%s is injected by Kubernetes for some Service: choose another name", s.env())
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"rules", "store", "store-timeout", "drain-delay"}
	for name, want := range map[string]string{
		"rules": "rules", "ruels": "rules", "rule": "rules", "stroe": "store", "storetimeout": "store-timeout",
		"drain_delay": "drain-delay", "": "", "x": "", "headers": "", strings.Repeat("rules", 100_000): "",
	} {
		if got, ok := Nearest(name, known); got != want || ok != (want != "") {
			t.Errorf("Nearest(%.20q) = %q, %v; want %q", name, got, ok, want)
		}
	}
}
