package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/envoy"
)

// reports are the forms in which faults are told, by the word of --format.
var reports = map[string]func(descriptors.Faults) (string, error){
	"text":  func(faults descriptors.Faults) (string, error) { return faults.Text() + summary(faults) + "\n", nil },
	"json":  jsonReport,
	"sarif": sarifReport,
}

// summary counts the faults in one line; notes only where there are some.
func summary(faults descriptors.Faults) string {
	count := func(s descriptors.Severity) string {
		if n := faults.Count(s); n != 1 {
			return fmt.Sprintf("%d %ss", n, s)
		}
		return "1 " + s.String()
	}
	if len(faults) == 0 {
		return "no faults"
	}
	text := count(descriptors.Error) + ", " + count(descriptors.Warning)
	if faults.Count(descriptors.Note) > 0 {
		text += ", " + count(descriptors.Note)
	}
	return text
}

// rulesID is the id of faults of rule files, whose kinds have none.
const rulesID = "rules"

func idOf(f descriptors.Fault) string {
	if f.ID == "" {
		return rulesID
	}
	return f.ID
}

type finding struct {
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Severity string `json:"severity"`
	ID       string `json:"id"`
	Message  string `json:"message"`
	Remedy   string `json:"remedy,omitempty"`
}

func jsonReport(faults descriptors.Faults) (string, error) {
	findings := []finding{}
	for _, f := range faults {
		findings = append(findings, finding{f.File, f.Line, f.Column, f.Severity.String(), idOf(f), f.Message, f.Remedy})
	}
	return indented(map[string]any{
		"findings": findings, "errors": faults.Count(descriptors.Error),
		"warnings": faults.Count(descriptors.Warning), "notes": faults.Count(descriptors.Note),
	})
}

// indented is JSON for people: with < as it is.
func indented(v any) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(v)
	return text.String(), err
}

// sarifReport is SARIF 2.1.0, which code hosts show beside the lines.
func sarifReport(faults descriptors.Faults) (string, error) {
	type object = map[string]any
	rules := []any{object{"id": rulesID, "shortDescription": object{"text": "What is wrong with a rule file."}, "defaultConfiguration": object{"level": "error"}}}
	index := map[string]int{rulesID: 0}
	for _, d := range envoy.Diagnostics {
		index[d.ID] = len(rules)
		rules = append(rules, object{"id": d.ID, "shortDescription": object{"text": d.About}, "defaultConfiguration": object{"level": d.Severity.String()}})
	}
	results := []any{}
	for _, f := range faults {
		location := object{"artifactLocation": object{"uri": uri(f.File)}}
		if f.Line > 0 {
			location["region"] = object{"startLine": f.Line, "startColumn": f.Column}
		}
		text := f.Message
		if f.Remedy != "" {
			text += ": " + f.Remedy
		}
		results = append(results, object{
			"ruleId": idOf(f), "ruleIndex": index[idOf(f)], "level": f.Severity.String(), "message": object{"text": text},
			"locations": []any{object{"physicalLocation": location}},
		})
	}
	return indented(object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
		"runs": []any{object{
			"tool":       object{"driver": object{"name": "weir", "informationUri": "https://github.com/weir-rls/weir", "rules": rules}},
			"columnKind": "unicodeCodePoints", "results": results,
		}},
	})
}

// uri is a file's name as SARIF wants it: with slashes, and what is no part of a path
// escaped.
func uri(name string) string {
	name = filepath.ToSlash(name)
	var b strings.Builder
	if filepath.IsAbs(name) {
		b.WriteString("file://")
	}
	for i := range len(name) {
		if c := name[i]; c > ' ' && c < 0x7f && !strings.ContainsRune(`%?#[]<>"{}|\^`+"`", rune(c)) && (c != ':' || strings.Contains(name[:i], "/")) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
