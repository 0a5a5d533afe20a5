package charts

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/strvals"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// serviceMonitor has the fields of monitoring.coreos.com/v1 that the chart may
// use: the operator's own package would bring half of Kubernetes with it.
type serviceMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port      string `json:"port"`
			Path      string `json:"path"`
			Interval  string `json:"interval"`
			Scheme    string `json:"scheme"`
			TLSConfig struct {
				InsecureSkipVerify bool   `json:"insecureSkipVerify"`
				ServerName         string `json:"serverName"`
			} `json:"tlsConfig"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// prometheusRule is that of monitoring.coreos.com/v1, with what an alert has.
type prometheusRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []struct {
				Alert       string            `json:"alert"`
				Expr        string            `json:"expr"`
				For         string            `json:"for"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"rules"`
		} `json:"groups"`
	} `json:"spec"`
}

// release is what one install would make.
type release struct {
	deployment      appsv1.Deployment
	statefulSet     *appsv1.StatefulSet
	autoscaler      *autoscalingv2.HorizontalPodAutoscaler
	budget          *policyv1.PodDisruptionBudget
	services        map[string]*corev1.Service
	policies        map[string]*networkingv1.NetworkPolicy
	rules           *corev1.ConfigMap
	account         *corev1.ServiceAccount
	monitor         *serviceMonitor
	alerts          *prometheusRule
	notes, manifest string
}

// render renders the chart as helm install weir does, schema included.
func render(t *testing.T, values map[string]any) (map[string]string, error) {
	t.Helper()
	chart, err := loader.Load("weir")
	if err != nil {
		t.Fatal(err)
	}
	all, err := chartutil.ToRenderValues(chart, values, chartutil.ReleaseOptions{Name: "weir", Namespace: "limits"}, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.Render(chart, all)
}

func install(t *testing.T, values map[string]any) release {
	t.Helper()
	files, err := render(t, values)
	if err != nil {
		t.Fatal(err)
	}
	r := release{services: map[string]*corev1.Service{}, policies: map[string]*networkingv1.NetworkPolicy{}}
	for name, content := range files {
		switch filepath.Base(name) {
		case "NOTES.txt":
			r.notes = content
		case "_helpers.tpl":
		default:
			r.manifest += "---\n" + content
		}
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(r.manifest)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return r
		}
		if err != nil {
			t.Fatal(err)
		}
		r.add(t, document)
	}
}

// add decodes one object: a field that Kubernetes does not know, or a second one
// of a name, is a fault.
func (r *release) add(t *testing.T, document []byte) {
	t.Helper()
	var object struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ObjectMeta `json:"metadata"`
	}
	if err := yaml.Unmarshal(document, &object); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	name, into := object.Metadata.Name, any(nil)
	switch kind := object.APIVersion + " " + object.Kind; kind {
	case " ":
		if len(bytes.TrimSpace(uncommented(document))) > 0 {
			t.Errorf("no object: %s", document)
		}
		return
	case "apps/v1 Deployment":
		into = &r.deployment
	case "apps/v1 StatefulSet":
		r.statefulSet = &appsv1.StatefulSet{}
		into = r.statefulSet
	case "autoscaling/v2 HorizontalPodAutoscaler":
		r.autoscaler = &autoscalingv2.HorizontalPodAutoscaler{}
		into = r.autoscaler
	case "policy/v1 PodDisruptionBudget":
		r.budget = &policyv1.PodDisruptionBudget{}
		into = r.budget
	case "v1 Service":
		r.services[name] = &corev1.Service{}
		into = r.services[name]
	case "networking.k8s.io/v1 NetworkPolicy":
		r.policies[name] = &networkingv1.NetworkPolicy{}
		into = r.policies[name]
	case "v1 ConfigMap":
		r.rules = &corev1.ConfigMap{}
		into = r.rules
	case "v1 ServiceAccount":
		r.account = &corev1.ServiceAccount{}
		into = r.account
	case "monitoring.coreos.com/v1 ServiceMonitor":
		r.monitor = &serviceMonitor{}
		into = r.monitor
	case "monitoring.coreos.com/v1 PrometheusRule":
		r.alerts = &prometheusRule{}
		into = r.alerts
	default:
		t.Fatalf("the chart makes a %s, which no test knows", kind)
	}
	if err := yaml.UnmarshalStrict(document, into); err != nil {
		t.Errorf("%s %s: %v\n%s", object.Kind, name, err, document)
	}
	if object.Metadata.Namespace != "limits" || object.Metadata.Labels["app.kubernetes.io/instance"] != "weir" {
		t.Errorf("%s %s: namespace %q, labels %v", object.Kind, name, object.Metadata.Namespace, object.Metadata.Labels)
	}
}

func uncommented(document []byte) []byte {
	var lines [][]byte
	for line := range bytes.Lines(document) {
		if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) && !bytes.HasPrefix(line, []byte("---")) {
			lines = append(lines, line)
		}
	}
	return bytes.Join(lines, nil)
}

// valuesFiles are what users may state, by the file's name without -values.yaml.
func valuesFiles(t *testing.T) map[string]map[string]any {
	t.Helper()
	names, err := filepath.Glob("weir/ci/*-values.yaml")
	if err != nil || len(names) < 4 {
		t.Fatalf("%d values files: %v", len(names), err)
	}
	files := map[string]map[string]any{}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		values, err := chartutil.ReadValues(content)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		files[strings.TrimSuffix(filepath.Base(name), "-values.yaml")] = values
	}
	return files
}

// with is values and what --set would add.
func with(t *testing.T, values map[string]any, sets ...string) map[string]any {
	t.Helper()
	text, err := chartutil.Values(values).YAML()
	if err != nil {
		t.Fatal(err)
	}
	if values, err = chartutil.ReadValues([]byte(text)); err != nil {
		t.Fatal(err)
	}
	for _, set := range sets {
		if err := strvals.ParseInto(set, values); err != nil {
			t.Fatal(err)
		}
	}
	return values
}
