package cli

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/ruletest"
)

func newTest(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   "test FILE|DIR...",
		Short: "Run tests of rule files",
		Long: `Run tests of rule files: cases of requests and of what is expected of them, on a
clock of their own. Of a directory all files in it and below it are run whose
names end in _test.yaml or _test.yml. docs/how-to/testing-rules.md has their language.

The exit code is 1 if a case fails or a file has a fault.`,
		Example: `  weir test rules_test.yaml
  weir test . --format junit > report.xml`,
		Args: someFiles,
	}
	config.AddFlags(command.Flags(), "merge-domains")
	format := command.Flags().String("format", "text", "How the results are written.")
	config.GroupFlags(command.Flags(), "Report", map[string]string{"format": "text|json|junit"})
	command.RunE = func(command *cobra.Command, paths []string) error {
		settings, _, err := config.Load(command.Flags(), world.Environ)
		if err != nil {
			return err
		}
		report := map[string]func([]ruletest.Result) (string, error){
			"json": jsonResults, "junit": junitReport,
			"text": func(all []ruletest.Result) (string, error) {
				return textReport(all, paintFor(world.Stdout, world.Environ)), nil
			},
		}[*format]
		if report == nil {
			return fmt.Errorf("--format: %q is none of text, json, junit", *format)
		}
		files, err := testFiles(paths)
		if err != nil {
			return failureError{err}
		}
		var results []ruletest.Result
		for _, file := range files {
			results = append(results, ruletest.Run(file, descriptors.Options{MergeDomains: settings.MergeDomains}))
		}
		text, err := report(results)
		if err == nil {
			_, err = fmt.Fprint(world.Stdout, text)
		}
		if err != nil {
			return failureError{err}
		}
		if slices.ContainsFunc(results, func(r ruletest.Result) bool { return r.Failed() }) {
			return silentError{}
		}
		return nil
	}
	return command
}

// testFiles are the files of paths, and of directories those that are tests.
func testFiles(paths []string) (files []string, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		found := len(files)
		err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			hidden := strings.HasPrefix(entry.Name(), ".") && name != path
			if entry.IsDir() && hidden {
				return filepath.SkipDir
			}
			if !entry.IsDir() && !hidden && (strings.HasSuffix(name, "_test.yaml") || strings.HasSuffix(name, "_test.yml")) {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(files) == found {
			return nil, errors.New("no test in " + quoted([]string{path}) + ": their names end in _test.yaml or _test.yml")
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// textReport tells the failures and counts the rest, as go test does.
func textReport(all []ruletest.Result, p paint) string {
	var b strings.Builder
	passed, failed, broken := 0, 0, 0
	for i := range all {
		r := &all[i]
		passed, failed = passed+r.Count(true), failed+r.Count(false)
		for _, c := range r.Cases {
			if !c.Passed {
				caseText(&b, p, c)
			}
		}
		what := fmt.Sprintf("%s, %s", counted(len(r.Cases), "case"), counted(r.Requests, "request"))
		if len(r.Faults) > 0 {
			broken++
			b.WriteString(r.Text)
			what = "not run"
		}
		if mark := p.in(green, "ok    "); r.Failed() {
			fmt.Fprintf(&b, "%s%s  %s\n", p.in(red, "FAIL  "), shown(r.File), what)
		} else {
			fmt.Fprintf(&b, "%s%s  %s\n", mark, shown(r.File), what)
		}
	}
	fmt.Fprintf(&b, "%s: %d passed, %d failed", counted(passed+failed, "case"), passed, failed)
	if broken > 0 {
		fmt.Fprintf(&b, "; %s not run", counted(broken, "file"))
	}
	return b.String() + "\n"
}

func caseText(b *strings.Builder, p paint, c ruletest.CaseResult) {
	fmt.Fprintf(b, "%s %s\n", p.in(red, "--- FAIL:"), shown(c.Name))
	for i, f := range c.Failures {
		fmt.Fprintf(b, "%s: %s", f.Place, shown(f.Message))
		if f.Expected != "" {
			fmt.Fprintf(b, ": expected %s, got %s", shown(f.Expected), shown(f.Got))
		}
		fmt.Fprintf(b, " (at %s)\n    %s\n    %s^\n", f.Clock, f.Fault.Excerpt, strings.Repeat(" ", f.Fault.Caret))
		if told := i+1 < len(c.Failures) && c.Failures[i+1].Why == f.Why; f.Why != nil && !told {
			for line := range strings.Lines(explainText(f.Why, p)) {
				b.WriteString(strings.TrimRight("    | "+line, " \n") + "\n")
			}
		}
	}
}

func jsonResults(all []ruletest.Result) (string, error) {
	form, err := json.MarshalIndent(map[string]any{"files": all}, "", "  ")
	return string(form) + "\n", err
}

// The report that most servers for continuous integration read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Failure *junitFailure `xml:"failure"`
		Error   *junitFailure `xml:"error"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

func junitReport(all []ruletest.Result) (string, error) {
	var report junitSuites
	for i := range all {
		r := &all[i]
		suite := junitSuite{Name: r.File, Tests: len(r.Cases), Failures: r.Count(false)}
		for _, c := range r.Cases {
			told := junitCase{Name: c.Name, Class: r.File}
			if !c.Passed {
				var text strings.Builder
				caseText(&text, paint{}, c)
				told.Failure = &junitFailure{c.Failures[0].Place + ": " + c.Failures[0].Message, text.String()}
			}
			suite.Cases = append(suite.Cases, told)
		}
		if len(r.Faults) > 0 {
			suite.Tests, suite.Errors = 1, 1
			suite.Cases = []junitCase{{Name: "the file is read", Class: r.File, Error: &junitFailure{r.Faults[0], r.Text}}}
		}
		report.Tests, report.Failures, report.Errors = report.Tests+suite.Tests, report.Failures+suite.Failures, report.Errors+suite.Errors
		report.Suites = append(report.Suites, suite)
	}
	form, err := xml.MarshalIndent(report, "", "  ")
	return xml.Header + string(form) + "\n", err
}
