package descriptors

import (
	"bytes"
	"encoding/json"
)

// schemaID names the schema; nothing is fetched from anywhere.
const schemaID = "urn:weir:rules"

// Schema is the JSON Schema (draft 2020-12) of a rule file, indented. It knows the
// parser's fields, words and numbers; what depends on other fields or files is
// [Load]'s alone to tell, which never refuses less.
func Schema() ([]byte, error) {
	root := mappings[""].schema()
	root["$schema"], root["$id"] = "https://json-schema.org/draft/2020-12/schema", schemaID
	root["title"] = "Rule file of weir"
	defs := schema{}
	for name, k := range mappings {
		if name != "" {
			defs[name] = k.schema()
		}
	}
	root["$defs"] = defs
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(root)
	return out.Bytes(), err
}

// schema is that of a mapping with the fields of k's table.
func (k mapping) schema() schema {
	properties := schema{}
	for name := range k.table.fields {
		if properties[name] = shared[name]; k.fields[name] != nil {
			properties[name] = k.fields[name]
		}
	}
	object := schema{"type": "object", "additionalProperties": false, "properties": properties}
	for name, extra := range k.extra {
		object[name] = extra
	}
	return object
}
