package descriptors

import (
	"math"
	"strconv"
	"strings"
	"sync/atomic"

	"go.yaml.in/yaml/v4"
)

// Metadata is a map that a rule states and a response repeats. It never changes.
type Metadata struct {
	fields map[string]any
	wire   atomic.Pointer[[]byte]
}

// Map is the map, of values that a google.protobuf.Struct has: nil, bool, float64, string,
// []any and map[string]any. It is the caller's own.
func (m *Metadata) Map() map[string]any {
	if m == nil {
		return nil
	}
	return cloned(m.fields).(map[string]any)
}

// AddTo adds the fields to those that are in a map. Of two values the first stays, and of two
// maps the fields of both.
func (m *Metadata) AddTo(fields map[string]any) { join(fields, m.Map()) }

func join(to, from map[string]any) {
	for name, value := range from {
		there, taken := to[name]
		if !taken {
			to[name] = value
			continue
		}
		first, isMap := there.(map[string]any)
		if second, areMaps := value.(map[string]any); isMap && areMaps {
			join(first, second)
		}
	}
}

// Wire is what form makes of the map, once: as nothing changes, it is made for the first
// caller.
func (m *Metadata) Wire(form func(map[string]any) []byte) []byte {
	made := m.wire.Load()
	if made == nil {
		content := form(m.fields)
		made = &content
		m.wire.Store(made)
	}
	return *made
}

func cloned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		own := make(map[string]any, len(v))
		for name, value := range v {
			own[name] = cloned(value)
		}
		return own
	case []any:
		own := make([]any, len(v))
		for i := range v {
			own[i] = cloned(v[i])
		}
		return own
	}
	return v
}

// Bounds of metadata, which is part of every response: the bytes of its keys and texts,
// with some for each value, and how deep it nests. They let pass what comes over ADS.
const (
	maxMetadata      = 64 << 10
	maxMetadataDepth = 64
	metadataValue    = 4
)

// metadata reads a map of anything.
func (w *walker) metadata(f field) *Metadata {
	if f.null() {
		w.warn(f.value, "remove it, or state a map", "metadata is empty")
		return nil
	}
	if f.value.Kind != yaml.MappingNode || f.value.Tag != "!!map" {
		w.fail(f.value, "write a map, as in metadata: {team: search}", "metadata must be a mapping, not %s", kindOf(f.value))
		return nil
	}
	m := metadataReader{walker: w, left: maxMetadata}
	fields := m.mapping(f.value, 1)
	if m.left < 0 {
		w.fail(f.value, "", "metadata has more than %d bytes of keys and values", maxMetadata)
	}
	return &Metadata{fields: fields}
}

type metadataReader struct {
	*walker
	left int // bytes; negative: too many
}

func (m *metadataReader) mapping(n *yaml.Node, depth int) map[string]any {
	fields, read := map[string]field{}, map[string]any{}
	m.collect(n, table{}, fields)
	m.open[n] = true
	defer m.leave(n)
	for name, f := range fields {
		m.left -= len(name)
		read[name] = m.value(f.value, depth)
	}
	return read
}

func (m *metadataReader) value(n *yaml.Node, depth int) any {
	if m.left -= metadataValue; m.left < 0 {
		return nil
	}
	if depth == maxMetadataDepth && n.Kind != yaml.ScalarNode {
		m.fail(n, "", "metadata nests deeper than %d", maxMetadataDepth)
		return nil
	}
	switch {
	case m.open[n]:
		m.enter(n) // which tells so
		return nil
	case n.Kind == yaml.MappingNode && n.Tag == "!!map":
		return m.mapping(n, depth+1)
	case n.Kind == yaml.SequenceNode && n.Tag == "!!seq":
		return m.list(n, depth+1)
	case n.Kind == yaml.ScalarNode:
		return m.scalar(n)
	}
	m.fail(n, "use texts, numbers, true, false, lists and maps", "metadata cannot hold %s", kindOf(n))
	return nil
}

func (m *metadataReader) list(n *yaml.Node, depth int) []any {
	read := []any{}
	if !m.count(n, 1+len(n.Content)) {
		return read
	}
	m.open[n] = true
	defer m.leave(n)
	for _, item := range n.Content {
		read = append(read, m.value(resolved(item), depth))
	}
	return read
}

// scalar reads what YAML 1.1, which the reference service reads, takes for something
// else than a text, as that.
func (m *metadataReader) scalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		return m.number(n)
	case "!!str", "!!timestamp", "!!merge":
		if v, word := words11[strings.ToLower(n.Value)]; word && n.Style == 0 {
			m.warn(n, "write "+strconv.FormatBool(v)+", or quotes", "%s is taken as %v", n.Value, v)
			return v
		}
		m.left -= len(n.Value)
		return n.Value
	}
	m.fail(n, "use texts, numbers, true, false, lists and maps", "metadata cannot hold %s", kindOf(n))
	return nil
}

// number reads a number as the one that a Struct can hold: a double.
func (m *metadataReader) number(n *yaml.Node) any {
	text := strings.ReplaceAll(n.Value, "_", "")
	if n.Tag == "!!int" {
		if v, err := strconv.ParseInt(text, 0, 64); err == nil {
			if int64(float64(v)) != v || v == math.MaxInt64 {
				m.warn(n, "write it in quotes", "%s is rounded: a number has 53 bits", printable(n.Value, maxShown/4))
			}
			return float64(v)
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		m.fail(n, "write it in quotes", "%s is not a number that metadata can hold", printable(n.Value, maxShown/4))
		return nil
	}
	return v
}
