package charts

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func container(r release) corev1.Container { return r.deployment.Spec.Template.Spec.Containers[0] }

// Each object is one that Kubernetes accepts, each selector meets the pods that it
// is about, and each name that one object says of another is there.
func TestObjectsAreStrictAndFitTogether(t *testing.T) {
	for name, values := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			r := install(t, values)
			pod := r.deployment.Spec.Template
			selects := func(what string, selector *metav1.LabelSelector, pods labels.Set) {
				s, err := metav1.LabelSelectorAsSelector(selector)
				if err != nil || s.Empty() || !s.Matches(pods) {
					t.Errorf("%s: %v does not select %v: %v", what, s, pods, err)
				}
			}
			selects("deployment", r.deployment.Spec.Selector, pod.Labels)
			if r.budget != nil {
				selects("budget", r.budget.Spec.Selector, pod.Labels)
			}
			if r.statefulSet != nil {
				valkey := r.statefulSet.Spec.Template.Labels
				selects("stateful set", r.statefulSet.Spec.Selector, valkey)
				if selector := labels.SelectorFromSet(r.deployment.Spec.Selector.MatchLabels); selector.Matches(labels.Set(valkey)) {
					t.Error("the deployment selects the pod of Valkey")
				}
			}
			for name, service := range r.services {
				pods := pod
				if strings.HasSuffix(name, "-valkey") {
					pods = r.statefulSet.Spec.Template
				}
				selects(name, &metav1.LabelSelector{MatchLabels: service.Spec.Selector}, pods.Labels)
				for _, port := range service.Spec.Ports {
					if !slices.ContainsFunc(pods.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == port.TargetPort.StrVal }) {
						t.Errorf("service %s: no port %s", name, port.TargetPort.StrVal)
					}
				}
			}
			for name, policy := range r.policies {
				pods := pod.Labels
				if strings.HasSuffix(name, "-valkey") {
					pods = r.statefulSet.Spec.Template.Labels
					selects("peer of valkey", policy.Spec.Ingress[0].From[0].PodSelector, pod.Labels)
				}
				selects("policy "+name, &policy.Spec.PodSelector, pods)
			}
			if r.monitor != nil {
				selects("monitor", &r.monitor.Spec.Selector, r.services[r.deployment.Name+"-http"].Labels)
				if s, _ := metav1.LabelSelectorAsSelector(&r.monitor.Spec.Selector); s.Matches(labels.Set(r.services[r.deployment.Name].Labels)) {
					t.Error("the monitor selects both Services and would scrape the gRPC port")
				}
			}
			if replicas := r.deployment.Spec.Replicas; replicas != nil && int(*replicas) != settingsOf(t, r).Replicas {
				t.Errorf("%d replicas, and weir is told of %d", *replicas, settingsOf(t, r).Replicas)
			}
			if r.autoscaler != nil && (r.autoscaler.Spec.ScaleTargetRef.Name != r.deployment.Name || r.deployment.Spec.Replicas != nil) {
				t.Error("the autoscaler does not have the deployment to itself")
			}
			if r.services[r.deployment.Name].Spec.ClusterIP != corev1.ClusterIPNone {
				t.Error("the gRPC Service is not headless: one connection would hold Envoy to one replica")
			}
			mounted(t, pod.Spec)
		})
	}
}

// mounted tells of mounts without a volume, volumes that nobody mounts, and
// subPath, which does not follow a change.
func mounted(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = false
	}
	for _, m := range pod.Containers[0].VolumeMounts {
		if _, there := volumes[m.Name]; !there || m.SubPath != "" {
			t.Errorf("mount %+v of volumes %v", m, volumes)
		}
		volumes[m.Name] = true
	}
	for name, used := range volumes {
		if !used {
			t.Errorf("nobody mounts %s", name)
		}
	}
}

// Who takes over weir, or Valkey, finds nothing to go on with.
func TestPodsAreConfined(t *testing.T) {
	for name, values := range valuesFiles(t) {
		r := install(t, values)
		pods := []corev1.PodSpec{r.deployment.Spec.Template.Spec}
		if r.statefulSet != nil {
			pods = append(pods, r.statefulSet.Spec.Template.Spec)
		}
		for _, pod := range pods {
			p, c := pod.SecurityContext, pod.Containers[0].SecurityContext
			if !*p.RunAsNonRoot || *p.RunAsUser == 0 || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
				*c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem || !slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(c.Capabilities.Add) > 0 ||
				*pod.AutomountServiceAccountToken || *pod.EnableServiceLinks {
				t.Errorf("%s: %s: %+v %+v", name, pod.Containers[0].Name, p, c)
			}
		}
		if user := *pods[0].SecurityContext.RunAsUser; user != 65532 {
			t.Errorf("%s: runs as %d, the image's user is 65532", name, user)
		}
	}
}

// A replica that is killed while it drains fails calls that it has accepted.
func TestTheGracePeriodIsLongerThanTheDrain(t *testing.T) {
	for name, values := range valuesFiles(t) {
		r := install(t, values)
		s := settingsOf(t, r)
		grace := time.Duration(*r.deployment.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
		if drain := s.DrainDelay + s.DrainTimeout; grace < drain+5*time.Second || grace > drain+time.Minute {
			t.Errorf("%s: %v for a drain of %v", name, grace, drain)
		}
	}
	minimal := valuesFiles(t)["minimal"]
	for sets, want := range map[string]int64{
		"settings.drain_delay=1h2m3.5s":                        3600 + 120 + 4 + 20 + 5,
		"settings.drain_delay=100ms,settings.drain_timeout=0s": 1 + 0 + 5,
		"terminationGracePeriodSeconds=41":                     41,
	} {
		if got := *install(t, with(t, minimal, sets)).deployment.Spec.Template.Spec.TerminationGracePeriodSeconds; got != want {
			t.Errorf("%s: %d, want %d", sets, got, want)
		}
	}
}

// Go's own limit lies below the one at which the kernel kills; Valkey's leaves
// room for the rewrite of its file.
func TestMemoryLimitsFollowTheContainers(t *testing.T) {
	minimal := valuesFiles(t)["minimal"]
	for _, limit := range []string{"512Mi", "1.5Gi", "800M", "1000000k", "1073741824", "2Gi"} {
		r := install(t, with(t, minimal, "resources.limits.memory="+limit, "valkey.resources.limits.memory="+limit))
		quantity := resource.MustParse(limit)
		whole := quantity.Value()
		if got, err := strconv.ParseInt(environ(t, r)["GOMEMLIMIT"], 10, 64); err != nil || got > whole*90/100 || got < whole*89/100 {
			t.Errorf("GOMEMLIMIT of %s: %d %v", limit, got, err)
		}
		args := r.statefulSet.Spec.Template.Spec.Containers[0].Args
		if got, err := strconv.ParseInt(args[slices.Index(args, "--maxmemory")+1], 10, 64); err != nil || got > whole*75/100 || got < whole*74/100 {
			t.Errorf("maxmemory of %s: %d %v", limit, got, err)
		}
	}
	if _, set := environ(t, install(t, valuesFiles(t)["memory"]))["GOMEMLIMIT"]; set {
		t.Error("GOMEMLIMIT without a limit")
	}
}

// An evicted bucket is a full one; one that is lost in a restart too.
func TestValkeyEvictsNothingAndKeepsWhatItHas(t *testing.T) {
	r := install(t, valuesFiles(t)["everything"])
	args := strings.Join(r.statefulSet.Spec.Template.Spec.Containers[0].Args, " ")
	for _, want := range []string{"--maxmemory-policy noeviction", "--appendonly yes", "--appendfsync everysec", "--requirepass $(REDISCLI_AUTH)"} {
		if !strings.Contains(args, want) {
			t.Errorf("no %s in %s", want, args)
		}
	}
	if len(r.statefulSet.Spec.VolumeClaimTemplates) != 1 || *r.statefulSet.Spec.Replicas != 1 {
		t.Errorf("%+v", r.statefulSet.Spec)
	}
	r = install(t, with(t, valuesFiles(t)["minimal"], "valkey.persistence.enabled=false"))
	if volumes := r.statefulSet.Spec.Template.Spec.Volumes; len(r.statefulSet.Spec.VolumeClaimTemplates) > 0 || len(volumes) != 1 || volumes[0].EmptyDir == nil {
		t.Errorf("%+v", r.statefulSet.Spec)
	}
}

// A chart whose version has changed, and nothing else, restarts nobody: Valkey least of
// all, for whose time limits are judged by their on_store_error.
func TestPods_DoNotDependOnTheChartsVersion(t *testing.T) {
	r := install(t, valuesFiles(t)["minimal"])
	for _, pod := range []corev1.PodTemplateSpec{r.deployment.Spec.Template, r.statefulSet.Spec.Template} {
		for label := range pod.Labels {
			if label == "helm.sh/chart" || label == "app.kubernetes.io/version" {
				t.Errorf("%s has the label %s", pod.Spec.Containers[0].Name, label)
			}
		}
	}
}

// The ports that are open are those that weir serves, to the peers that are named.
func TestNetworkPolicy_OpensWhatIsServed(t *testing.T) {
	files := valuesFiles(t)
	for name, want := range map[string]map[string]int{"minimal": {"grpc": 0, "http": 0}, "everything": {"grpc": 1, "http": 1, "line": 1}} {
		r := install(t, files[name])
		got := map[string]int{}
		for _, rule := range r.policies[r.deployment.Name].Spec.Ingress {
			got[rule.Ports[0].Port.StrVal] = len(rule.From)
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if r := install(t, files["memory"]); len(r.policies) > 0 || r.budget != nil || r.account != nil || r.statefulSet != nil || r.deployment.Spec.Template.Spec.ServiceAccountName != "default" {
		t.Error("what is turned off is there")
	}
}

// What two values say that cannot both be meant is refused before anything is
// installed, with the remedy.
func TestContradictionsAreRefused(t *testing.T) {
	files := valuesFiles(t)
	for _, c := range []struct{ values, sets, want string }{
		{"", "replicaCount=1", "--set-file 'rules.files.shop\\.yaml=shop.yaml'"},
		{"minimal", "settings.rules_ads=x:1", "both say where rules come from"},
		{"minimal", "rules.existingConfigMap=x", "keep one of files and existingConfigMap"},
		{"minimal", "settings.redis_url=redis://redis:6379/0", "set valkey.enabled to false"},
		{"minimal", "valkey.enabled=false", "each admit the whole limit"},
		{"memory", "autoscaling.enabled=true", "each admit the whole limit"},
		{"memory", "settings.admin_token=00000000000000000000000000000000", "write {secret: NAME, key: KEY}"},
		{"memory", "settings.receipt_key=00000000000000000000000000000000", "write {secret: NAME, key: KEY}"},
		{"memory", "settings.redis_url=redis://:hunter2@redis:6379/0", "its password would stand in the Deployment"},
		{"minimal", "terminationGracePeriodSeconds=39", "would kill a replica before it has drained"},
		{"minimal", "resources.limits.memory=512m", "write it in Mi or Gi"},
		{"minimal", "settings.headres=draft10", "headres"},
		{"minimal", "settings.headers=draft11", "/settings/headers"},
		{"minimal", "settings.max_descriptors=many", "max_descriptors"},
		{"minimal", "settings.drain_delay=5", "drain_delay"},
		{"minimal", "replicas=3", "replicas"},
		{"minimal", "image.pullPolicy=Sometimes", "pullPolicy"},
		{"minimal", "rules.files.shop=x", "shop"},
	} {
		_, err := render(t, with(t, files[c.values], c.sets))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.sets, err, c.want)
		}
	}
	for _, sets := range []string{"settings.redis_url=redis://weir@redis:6379/0", "settings.store=memory,replicaCount=3"} {
		if _, err := render(t, with(t, files["memory"], sets)); err != nil {
			t.Errorf("%s: %v", sets, err)
		}
	}
}

// others are values that stand for a change where another value of the default's
// type would be refused, or mean nothing by itself.
var others = map[string]any{
	"rules.files":                        map[string]any{"other.yaml": "domain: other\n"},
	"settings":                           map[string]any{"log_level": "debug"},
	"image.digest":                       "sha256:" + strings.Repeat("1", 64),
	"image.pullPolicy":                   "Always",
	"valkey.image.pullPolicy":            "Always",
	"resources":                          map[string]any{"limits": map[string]any{"memory": "1Gi"}},
	"valkey.resources":                   map[string]any{"limits": map[string]any{"memory": "1Gi"}},
	"podDisruptionBudget.maxUnavailable": 2,
	"terminationGracePeriodSeconds":      300,
}

// A value that changes nothing is a promise that nobody keeps.
func TestEachValueChangesWhatIsInstalled(t *testing.T) {
	files := valuesFiles(t)
	text := func(values map[string]any) string {
		rendered, err := render(t, values)
		if err != nil {
			return "" // which is refused, and changes nothing
		}
		return fmt.Sprint(rendered)
	}
	before := map[string]string{}
	for name := range files {
		before[name] = text(files[name])
	}
	for _, v := range values(t) {
		name := strings.Join(v.path, ".")
		effective := slices.ContainsFunc(slices.Sorted(maps.Keys(files)), func(file string) bool {
			changed := with(t, files[file])
			into := changed
			for _, section := range v.path[:len(v.path)-1] {
				if _, there := into[section].(map[string]any); !there {
					into[section] = map[string]any{}
				}
				into = into[section].(map[string]any)
			}
			other := another(t, name, v, into[v.path[len(v.path)-1]])
			into[v.path[len(v.path)-1]] = other
			now := text(changed)
			shown, is := other.(string)
			return now != "" && now != before[file] && (!is || name == "nameOverride" || strings.Contains(now, shown))
		})
		if !effective {
			t.Errorf("%s changes nothing", name)
		}
	}
}

// another is a value that is not the default and not what a file states.
func another(t *testing.T, name string, v value, stated any) any {
	t.Helper()
	if other, ok := others[name]; ok {
		return other
	}
	var now any
	if err := v.node.Decode(&now); err != nil {
		t.Fatal(err)
	}
	if stated != nil {
		now = stated
	}
	switch now := now.(type) {
	case bool:
		return !now
	case string:
		return now + "zz"
	case int:
		return now + 1
	case float64:
		return now + 1
	case map[string]any:
		return map[string]any{"zz": "zz"}
	}
	return []any{map[string]any{"name": "zz"}}
}
