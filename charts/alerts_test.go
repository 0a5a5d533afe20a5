package charts

import (
	"bytes"
	"os"
	"testing"

	"sigs.k8s.io/yaml"
)

// A chart cannot read what lies outside of it, so that it has a copy of the alerts, which
// must be the ones that deploy/ tests. Their own templates pass through Helm's as they are.
func TestPrometheusRule_HasTheAlertsThatAreTested(t *testing.T) {
	tested, err := os.ReadFile("../deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if copied, err := os.ReadFile("weir/files/alerts.yaml"); err != nil || !bytes.Equal(copied, tested) {
		t.Fatalf("it has others: cp deploy/prometheus/alerts.yaml charts/weir/files (%v)", err)
	}
	if r := install(t, valuesFiles(t)["minimal"]); r.alerts != nil {
		t.Error("there are alerts that nobody asked for")
	}
	r := install(t, valuesFiles(t)["everything"])
	var want struct{ Groups any }
	var got prometheusRule
	if err := yaml.Unmarshal(tested, &want); err != nil {
		t.Fatal(err)
	}
	form, err := yaml.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(form, &got.Spec); err != nil {
		t.Fatal(err)
	}
	if r.alerts == nil || len(r.alerts.Spec.Groups) != 1 || len(r.alerts.Spec.Groups[0].Rules) < 15 || r.alerts.Labels["release"] != "prometheus" {
		t.Fatalf("%+v", r.alerts)
	}
	for i, rule := range r.alerts.Spec.Groups[0].Rules {
		tested := got.Spec.Groups[0].Rules[i]
		if rule.Alert != tested.Alert || rule.Expr != tested.Expr || rule.Annotations["summary"] != tested.Annotations["summary"] {
			t.Errorf("%+v, want %+v", rule, tested)
		}
	}
}
