package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/weir-rls/weir/internal/parts/platform"
	"github.com/weir-rls/weir/internal/stage"
)

// mesh plays Kubernetes and Istio.
type mesh struct {
	config string // the directory at which the ConfigMap is mounted
	rules  string // what it has
	writes int
}

// start mounts the ConfigMap of the manifests and reads the Deployment's environment.
func (m *mesh) start(s *stage.Stage) (*stage.Platform, error) {
	file := filepath.Join(s.Files, "manifests", "ratelimit.yaml")
	config, err := platform.ReadManifest(file, "ConfigMap", "ratelimit-config")
	if err != nil {
		return nil, err
	}
	container, err := platform.ReadContainer(file, "ratelimit")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(s.Scratch, "data")
	m.config, m.rules = filepath.Join(data, "ratelimit", "config"), config.Data["config.yaml"]
	if err := os.MkdirAll(m.config, 0o700); err != nil {
		return nil, err
	}
	return &stage.Platform{
		Args: container.Args, Environ: container.Environ(),
		Cluster: "outbound|8081||ratelimit.default.svc.cluster.local",
		Places:  map[string]string{"/data": data},
	}, m.mount(m.rules)
}

// mount writes the ConfigMap as the kubelet does: into a new directory, to which a link is
// then swapped.
func (m *mesh) mount(rules string) error {
	m.writes++
	version := fmt.Sprintf("..2026_01_01_%d", m.writes)
	if err := os.Mkdir(filepath.Join(m.config, version), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(m.config, version, "config.yaml"), []byte(rules), 0o600); err != nil {
		return err
	}
	next := filepath.Join(m.config, "..data_tmp")
	if err := os.Symlink(version, next); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(m.config, "..data")); err != nil {
		return err
	}
	err := os.Symlink(filepath.Join("..data", "config.yaml"), filepath.Join(m.config, "config.yaml"))
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

// tell is the story.
func (m *mesh) tell(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("1. Istio's sample: three an hour of one page, ten an hour of a client")
	page := stage.Request{Path: "/productpage", From: "127.0.0.2"}
	if err := s.Passes(ctx, 5, 3, "/productpage", page); err != nil {
		return err
	}
	if err := s.Refused(ctx, page); err != nil {
		return err
	}
	// Refused requests count too: of ten of this client six are used.
	if err := s.Passes(ctx, 6, 4, "/reviews of the same", stage.Request{Path: "/reviews", From: "127.0.0.2"}); err != nil {
		return err
	}
	if err := s.Passes(ctx, 5, 5, "/reviews of another", stage.Request{Path: "/reviews", From: "127.0.0.3"}); err != nil {
		return err
	}

	s.Screen.Title("2. The rules that are in force, on the debug port")
	if err := s.Show(ctx, s.Weirs[0].Debug+"/rlconfig", ""); err != nil {
		return err
	}
	s.Screen.Title("3. The series that dashboards read")
	if err := s.Show(ctx, s.Weirs[0].Metrics+"/metrics", "ratelimit_service_rate_limit_over_limit{"); err != nil {
		return err
	}

	s.Screen.Title("4. kubectl edit configmap ratelimit-config: what was used stays used")
	if err := m.mount(strings.Replace(m.rules, "requests_per_unit: 3}", "requests_per_unit: 8}", 1)); err != nil {
		return err
	}
	if err := s.InForce(ctx, "requests_per_unit=8"); err != nil {
		return err
	}
	page.From = "127.0.0.4"
	return s.Passes(ctx, 4, 2, "/productpage, 6 of 8 used", page)
}
