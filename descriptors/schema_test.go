package descriptors

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

var updateSchema = flag.Bool("update-schema", false, "write docs/rules.schema.json anew")

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	compiled, err := schemaCompiler(t).Compile(schemaID) // which is valid by the schema of its draft, or it does not compile
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func schemaCompiler(t *testing.T) *jsonschema.Compiler {
	t.Helper()
	content, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaID, document); err != nil {
		t.Fatal(err)
	}
	return c
}

// The committed schema, which editors read, is the parser's.
func TestSchema_IsTheCommittedFile(t *testing.T) {
	const committed = "../docs/rules.schema.json"
	want, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *updateSchema {
		if err := os.WriteFile(committed, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(committed); err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/rules.schema.json is stale: go test ./descriptors -run TestSchema_IsTheCommittedFile -update-schema (%v)", err)
	}
}

// A field that the parser knows is in the schema, with its meaning, and none that
// it does not know.
func TestSchema_HasEachFieldOfTheParser(t *testing.T) {
	met := map[string]bool{}
	for name, m := range mappings {
		met[m.table.what] = true
		properties := m.schema()["properties"].(schema)
		for field := range m.table.fields {
			described, _ := properties[field].(schema)
			if text, _ := described["description"].(string); text == "" || !strings.HasSuffix(text, ".") {
				t.Errorf("%s of %s says nothing of itself: name it in schemafields.go", field, m.table.what)
			}
		}
		for field := range m.fields {
			if !m.table.fields[field] {
				t.Errorf("%s of %q is no field of the parser", field, name)
			}
		}
	}
	source, err := os.ReadFile("fields.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, declared := range regexp.MustCompile(`Fields += table\{("[^"]+"|\w+),`).FindAllStringSubmatch(string(source), -1) {
		if what := strings.Trim(declared[1], `"`); !met[what] && what != "modelLimits" {
			t.Errorf("the mapping %s is not in the schema: name it in schemafields.go", what)
		}
	}
}

// asJSON is a document as a validator of YAML sees it.
func asJSON(content []byte) (any, error) {
	var document any
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, err
	}
	return plainJSON(document), nil
}

func plainJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = plainJSON(v[name])
		}
	case map[any]any:
		named := map[string]any{}
		for name := range v {
			named[fmt.Sprint(name)] = plainJSON(v[name])
		}
		return named
	case []any:
		for i := range v {
			v[i] = plainJSON(v[i])
		}
	case time.Time:
		return v.Format(time.DateOnly)
	case []byte:
		return string(v)
	}
	return v
}

// goodFiles are the rule files of the examples, the pages and the tests.
func goodFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, pattern := range []string{"testdata/rules/*.yaml", "../examples/*/rules.yaml", "../examples/*/rules/*.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = content
		}
	}
	pages, _ := filepath.Glob("../docs/*/*.md")
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range regexp.MustCompile("(?s)```yaml\n((?:#[^\n]*\n)*domain:.*?)```").FindAllSubmatch(text, -1) {
			files[fmt.Sprintf("%s#%d", page, i)] = block[1]
		}
	}
	return files
}

// loads tells whether the parser takes a file as it stands alone.
func loads(content []byte) bool {
	f := parse(newText("rules.yaml", content))
	return !slices.ContainsFunc(f.faults, func(fault Fault) bool {
		return fault.Severity == Error && !strings.Contains(fault.Message, "secret file")
	})
}

// What the schema refuses the parser refuses too, for every rule file there is and
// for each with each of its values replaced by what may be wrong there.
func TestSchema_RefusesNothingThatLoads(t *testing.T) {
	compiled := compiledSchema(t)
	checked := 0
	check := func(name string, content []byte) {
		document, err := asJSON(content)
		if err != nil {
			return // of two fields of one name a validator says so itself
		}
		checked++
		if err := compiled.Validate(document); err != nil && loads(content) {
			t.Errorf("%s loads, and the schema refuses it: %v\n%s", name, err, content)
		}
	}
	faults, _ := filepath.Glob("testdata/faults/*.yaml")
	for _, name := range faults {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		check(name, content)
	}
	for name, content := range goodFiles(t) {
		if !loads(content) {
			t.Errorf("%s does not load", name)
		}
		check(name, content)
		for i, changed := range mutations(t, content) {
			if i%23 == 0 { // which meets each value with some, and each of what may be wrong somewhere
				check(name, changed)
			}
		}
	}
	if checked < 500 {
		t.Errorf("only %d files were checked", checked)
	}
}

// mutations are a file with each of its values, in turn, replaced by another.
func mutations(t *testing.T, content []byte) (files [][]byte) {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.AliasNode {
			return
		}
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 {
				continue
			}
			for _, other := range []string{"zz", "''", "null", "5", "-1", "0", "1.5", "9999999999999", "true", "off", "yes", "Minute", "1/s", "1h", "[]", "{}", "[a]", "{a: 1}", "2020-01-01"} {
				var replaced yaml.Node
				if err := yaml.Unmarshal([]byte(other), &replaced); err != nil {
					t.Fatal(err)
				}
				n.Content[i] = replaced.Content[0]
				if changed, err := yaml.Marshal(&document); err == nil {
					files = append(files, changed)
				}
			}
			n.Content[i] = child
			walk(child)
		}
	}
	walk(&document)
	return files
}

// Of the mistakes that weir check shows, those of a file's form are seen by an
// editor too: unknown fields, wrong kinds, wrong words, numbers out of range.
func TestSchema_RefusesWrongFieldsWordsAndKinds(t *testing.T) {
	compiled := compiledSchema(t)
	form := regexp.MustCompile(`error: (unknown field|.* (must be (a mapping|a list|a whole number|between|true or false|a text)|cannot be (the|a) )|the (descriptor|file|limit|pool|draw) has no )`)
	names, _ := filepath.Glob("testdata/faults/*.yaml")
	seen := 0
	for _, name := range names {
		content, _ := os.ReadFile(name)
		told, _ := os.ReadFile(strings.TrimSuffix(name, ".yaml") + ".txt")
		document, err := asJSON(content)
		if err != nil || !form.Match(told) {
			continue
		}
		seen++
		if compiled.Validate(document) == nil {
			t.Errorf("%s: the schema sees nothing of\n%s", name, told)
		}
	}
	if seen < 15 {
		t.Errorf("only %d golden files", seen)
	}
	compiler := schemaCompiler(t)
	for name, m := range mappings {
		for field := range m.schema()["properties"].(schema) {
			refusesJunk(t, compiler, name, field)
		}
	}
}

// refusesJunk has one field of one kind of mapping take what no field takes, and
// an unknown word where it has words.
func refusesJunk(t *testing.T, c *jsonschema.Compiler, name, field string) {
	t.Helper()
	at := "#/$defs/" + name + "/properties/" + field
	if name == "" {
		at = "#/properties/" + field
	}
	compiled, err := c.Compile(schemaID + at)
	if err != nil {
		t.Fatal(err)
	}
	junk := []any{[]any{map[string]any{"zz": []any{}}}}
	if field != "metadata" { // which is any map
		junk = append(junk, map[string]any{"zz": []any{[]any{}}})
	}
	if compiled.Enum != nil {
		junk = append(junk, "zz")
	}
	for _, v := range junk {
		if compiled.Validate(v) == nil {
			t.Errorf("%s of %q takes %v", field, name, v)
		}
	}
}
