package pictures

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

var update = flag.Bool("update", false, "draw the pictures anew")

const directory = "../../docs/explanation/pictures"

// Each picture of the documentation is what the buckets do now.
func TestPictures_AreWhatTheCodeDraws(t *testing.T) {
	drawn := map[string]bool{}
	for _, scene := range []func(*testing.T) picture{edge, refill, pool, wait, slots, success, debt, outage} {
		synctest.Test(t, func(t *testing.T) {
			p := scene(t)
			svg, path := p.svg(), filepath.Join(directory, p.file+".svg")
			drawn[p.file+".svg"] = true
			wellFormed(t, p.file, svg)
			if *update {
				if err := os.WriteFile(path, []byte(svg), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if committed, err := os.ReadFile(path); err != nil || !alike(string(committed), svg, p.within) {
				t.Errorf("%s is not what the code draws: make pictures (%v)", path, err)
			}
		})
	}
	files, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/explanation/algorithms.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !drawn[file.Name()] {
			t.Errorf("%s is drawn by nothing", file.Name())
		}
		if !strings.Contains(string(page), "](pictures/"+file.Name()+")") {
			t.Errorf("%s is shown nowhere", file.Name())
		}
	}
}

var numbers = regexp.MustCompile(`\d+(\.\d+)?`)

// alike tells that two pictures differ in nothing but numbers, and in those by so much at most.
func alike(one, other string, within float64) bool {
	if numbers.ReplaceAllString(one, "N") != numbers.ReplaceAllString(other, "N") {
		return false
	}
	these, those := numbers.FindAllString(one, -1), numbers.FindAllString(other, -1)
	for i := range these {
		a, _ := strconv.ParseFloat(these[i], 64)
		b, _ := strconv.ParseFloat(those[i], 64)
		if math.Abs(a-b) > within {
			return false
		}
	}
	return true
}

func wellFormed(t *testing.T, name, svg string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, wanted := range []string{"<title id=\"t\">", "<desc id=\"d\">", "prefers-color-scheme:dark", "time, seconds"} {
		if !strings.Contains(svg, wanted) {
			t.Errorf("%s has no %s", name, wanted)
		}
	}
	if strings.Contains(svg, "NaN") || strings.Contains(svg, "<script") || strings.Contains(svg, "href") {
		t.Errorf("%s has what no picture should have", name)
	}
}
