package capacity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// mostAnswer bounds what an Envoy may answer: some 50,000 hosts.
const mostAnswer = 64 << 20

// newClient asks Envoys, and nobody whom they might send it to.
func newClient() *http.Client {
	return &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: patience},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// errNoCluster answers who asks an Envoy for a cluster that it does not have.
var errNoCluster = errors.New("the Envoy has no such cluster")

// healthy is how many hosts of a cluster an Envoy sends requests to: of those that
// it knows, all but the ones that fail a health check, were ejected as outliers, are
// still to be checked, or are to be removed.
func healthy(ctx context.Context, client *http.Client, admin, cluster string) (hosts int64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("ask the Envoy at %s for the hosts of %s: %w", admin, cluster, err)
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(admin, "/")+"/clusters?format=json", nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("it answers %s", response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer+1))
	if err != nil {
		return 0, err
	}
	if len(body) > mostAnswer {
		return 0, fmt.Errorf("it answers more than %d bytes", mostAnswer)
	}
	return healthyIn(body, cluster)
}

// clusters is what the admin interface answers: envoy.admin.v3.Clusters.
type clusters struct {
	Statuses []struct {
		Name  string `json:"name"`
		Hosts []struct {
			Health map[string]any `json:"health_status"`
		} `json:"host_statuses"`
	} `json:"cluster_statuses"`
}

func healthyIn(body []byte, cluster string) (hosts int64, err error) {
	var answer clusters
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, fmt.Errorf("read its answer: %w", err)
	}
	for _, s := range answer.Statuses {
		if s.Name != cluster {
			continue
		}
		for _, h := range s.Hosts {
			if takesRequests(h.Health) {
				hosts++
			}
		}
		return hosts, nil
	}
	return 0, errNoCluster
}

// takesRequests reads envoy.admin.v3.HostHealthStatus: each flag that is set
// speaks against the host, also one that only a later Envoy knows.
func takesRequests(health map[string]any) bool {
	for name, value := range health {
		switch value := value.(type) {
		case bool:
			if value {
				return false
			}
		case string:
			if name == "eds_health_status" && value != "HEALTHY" && value != "UNKNOWN" {
				return false
			}
		}
	}
	return true
}
