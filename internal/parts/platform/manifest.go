package platform

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v4"
)

// Manifest is a Kubernetes resource, as far as it says how weir is run.
type Manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string // of a ConfigMap
	Spec     struct {
		Template struct {
			Spec struct{ Containers []Container }
		}
	}
}

// Container is one of a Deployment.
type Container struct {
	Name, Image   string
	Command, Args []string
	Env           []struct{ Name, Value string }
}

// Environ is the container's environment, each variable as NAME=value.
func (c Container) Environ() (all []string) {
	for _, e := range c.Env {
		all = append(all, e.Name+"="+e.Value)
	}
	return all
}

// ReadManifest reads the resource of that kind and name from a file of several.
func ReadManifest(file, kind, name string) (Manifest, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Manifest{}, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var m Manifest
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return m, fmt.Errorf("%s has no %s %s", file, kind, name)
		} else if err != nil {
			return m, fmt.Errorf("%s: %w", file, err)
		}
		if m.Kind == kind && m.Metadata.Name == name {
			return m, nil
		}
	}
}

// ReadContainer reads the first container of a Deployment.
func ReadContainer(file, deployment string) (Container, error) {
	m, err := ReadManifest(file, "Deployment", deployment)
	if err != nil {
		return Container{}, err
	}
	if len(m.Spec.Template.Spec.Containers) == 0 {
		return Container{}, fmt.Errorf("%s: the Deployment %s has no containers", file, deployment)
	}
	return m.Spec.Template.Spec.Containers[0], nil
}
