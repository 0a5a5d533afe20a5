package parts_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

func TestReaddress_ChangesAddressesAlone(t *testing.T) {
	const cluster = "clusters: [{name: up, type: STATIC, load_assignment: {cluster_name: up, endpoints: [{lb_endpoints: [" +
		"{load_balancing_weight: 3}, {load_balancing_weight: 2}]}]}}]\n"
	text := strings.Replace(minimalBootstrap, "  listeners:", "  "+cluster+"  listeners:", 1)
	to := parts.Addresses{Admin: "127.0.0.1:0", Listeners: map[string]string{"front": "127.0.0.1:0"}, Clusters: map[string][]string{"up": {"127.0.0.1:1", "127.0.0.1:2"}}}
	changed, err := parts.Readdress([]byte(text), to)
	if err != nil {
		t.Fatal(err)
	}
	again, err := parts.Readdress(changed, to)
	if err != nil || string(again) != string(changed) {
		t.Errorf("the same addresses a second time changed the file: %v", err)
	}
	if stated, err := parts.Stated(changed); err != nil || !reflect.DeepEqual(stated, to) {
		t.Errorf("the file states %+v, %v", stated, err)
	}
	for _, want := range []string{"port_value: 1\n", "port_value: 2\n", "load_balancing_weight: 3\n", "type: STATIC", "direct_response"} {
		if !strings.Contains(string(changed), want) {
			t.Errorf("%q is missing in\n%s", want, changed)
		}
	}
	if err := parts.ValidateEnvoy(partstest.Binary(t, parts.Envoy), changed, t.TempDir()); err != nil {
		t.Error(err)
	}
}

func TestReaddress_RefusesNamesTheFileDoesNotHave(t *testing.T) {
	for _, to := range []parts.Addresses{
		{Listeners: map[string]string{"back": "127.0.0.1:1"}},
		{Clusters: map[string][]string{"up": {"127.0.0.1:1"}}},
		{Admin: "127.0.0.1"},
	} {
		if _, err := parts.Readdress([]byte(minimalBootstrap), to); err == nil {
			t.Errorf("%+v was accepted", to)
		}
	}
}
