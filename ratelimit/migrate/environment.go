package migrate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/descriptors"
)

// Environment is what a deployment of the reference service has in its environment.
type Environment struct {
	Values    map[string]string
	Elsewhere []string // variables whose values, or more variables, the file does not state
}

// Environ are the values as a process gets them, in order.
func (e Environment) Environ() (all []string) {
	for _, name := range slices.Sorted(maps.Keys(e.Values)) {
		all = append(all, name+"="+e.Values[name])
	}
	return all
}

// ReadEnvironment reads a file of lines NAME=value or, if its name ends in .yaml, .yml or
// .json, what Kubernetes or Docker Compose was told, of which it takes the container that
// has most of the reference's variables. No error repeats a value.
func ReadEnvironment(path string) (Environment, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml", ".json":
		return readManifest(path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return Environment{}, err
	}
	e := Environment{Values: map[string]string{}}
	var faults []error
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(content, []byte("\ufeff"))))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if !e.set(strings.TrimSpace(strings.TrimPrefix(line, "export "))) {
			faults = append(faults, fmt.Errorf("%s:%d: the line is not NAME=value", path, n))
		}
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, fmt.Errorf("%s: %w", path, err))
	}
	return e, errors.Join(faults...)
}

// set takes NAME=value, with or without quotes around the value.
func (e *Environment) set(assignment string) bool {
	name, value, found := strings.Cut(assignment, "=")
	if !found || name == "" || strings.ContainsAny(name, " \t") {
		return false
	}
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		value = value[1 : n-1]
	}
	e.Values[name] = value
	return true
}

func readManifest(path string) (Environment, error) {
	doc, fault := descriptors.ReadDocument(path)
	if fault != nil {
		return Environment{}, fault
	}
	var best Environment
	most := 0
	for _, root := range doc.Roots {
		for _, e := range containers(root, 0) {
			known := 0
			for name := range e.Values {
				if _, is := counterparts[name]; is {
					known++
				}
			}
			if known > most {
				best, most = e, known
			}
		}
	}
	if most == 0 {
		return best, fmt.Errorf("%s: no container has a variable of envoyproxy/ratelimit in its env or environment", path)
	}
	return best, nil
}

// containers are the environments of all containers in a manifest.
func containers(n *yaml.Node, depth int) (all []Environment) {
	if n = resolved(n); depth > 100 {
		return nil
	}
	if n.Kind == yaml.MappingNode {
		e := Environment{Values: map[string]string{}}
		for _, name := range []string{"env", "environment"} {
			if stated := field(n, name); stated != nil {
				e.read(resolved(stated))
			}
		}
		if field(n, "envFrom") != nil {
			e.Elsewhere = append(e.Elsewhere, "envFrom")
		}
		all = append(all, e)
	}
	for _, c := range n.Content {
		all = append(all, containers(c, depth+1)...)
	}
	return all
}

// read takes a mapping of names, a list of name and value, or one of NAME=value.
func (e *Environment) read(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		for key, value := range fields(n) {
			e.take(key.Value, resolved(value))
		}
		return
	}
	for _, c := range n.Content {
		if c = resolved(c); c.Kind == yaml.ScalarNode {
			e.set(c.Value)
		} else if name := text(c, "name"); name != "" {
			e.take(name, field(c, "value"))
			if field(c, "valueFrom") != nil {
				e.Elsewhere = append(e.Elsewhere, name)
			}
		}
	}
}

func (e *Environment) take(name string, value *yaml.Node) {
	if value == nil || value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
		return
	}
	e.Values[name] = value.Value
}
