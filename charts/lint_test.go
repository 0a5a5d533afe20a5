package charts

import (
	"testing"

	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

// What helm lint --strict says, apart from that a chart may have an icon.
func TestHelmLintFindsNothing(t *testing.T) {
	for name, values := range valuesFiles(t) {
		for _, m := range lint.All("weir", values, "limits", true).Messages {
			if m.Severity >= support.WarningSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}
