package cli

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const generatePage = "../../docs/how-to/generate-envoy.md"

// Every command of the page works on its files, and prints what the page shows. -update
// writes what is printed into the page.
func TestGeneratePage_EveryCommandDoesWhatItSays(t *testing.T) {
	content, err := os.ReadFile(generatePage)
	if err != nil {
		t.Fatal(err)
	}
	text, home := string(content), here(t)
	files := map[string]string{}
	for _, f := range documentedFile.FindAllStringSubmatch(text, -1) {
		files[f[1]] = f[2]
	}
	inFiles(t, files)
	run := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```\n(```text\n(.*?)```)?").FindAllStringSubmatch(text, -1) {
		printed, failed := "", false
		for line := range strings.Lines(block[1]) {
			got := weirHere(t, nil, strings.Fields(line)[1:]...)
			printed, failed = printed+got.stderr+got.stdout, failed || got.code != 0
			run++
		}
		if shown := block[2] != ""; failed != shown || shown && printed != block[3] {
			t.Errorf("%s printed\n%s\nand is shown as\n%s", block[1], printed, block[3])
			text = strings.Replace(text, block[0], "```sh\n"+block[1]+"```\n```text\n"+printed+"```", 1)
		}
	}
	if run < 5 {
		t.Errorf("%d commands on the page", run)
	}
	made, err := os.ReadFile("envoy/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	part := regexp.MustCompile("(?s)```yaml\n(# limits: free, paid\n.*?)```").FindStringSubmatch(text)
	if part == nil || !strings.Contains(outdented(string(made)), part[1]) {
		t.Errorf("the page shows another part than is written:\n%s", made)
	}
	for _, name := range []string{"envoy/envoy.yaml", "istio/envoyfilters.yaml", "gateway/envoy-gateway.yaml", "gateway/envoypatchpolicy.yaml"} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if *update {
		if err := os.WriteFile(home+"/"+generatePage, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func here(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// outdented is a text whose lines begin where its rate limits do.
func outdented(text string) string {
	var all strings.Builder
	for line := range strings.Lines(text) {
		all.WriteString(strings.TrimPrefix(line, strings.Repeat(" ", 14)))
	}
	return all.String()
}

func TestEnvoy_WrongUsageSaysWhatToWrite(t *testing.T) {
	inFiles(t, map[string]string{"rules.yaml": "domain: d\ndescriptors: [{key: user, limits: [{rate: 1/s}]}]\n", "map.yaml": "keys: {user: {header: x-user}}\n"})
	for _, c := range []struct {
		args, want string
	}{
		{"rules.yaml", "--map is missing: name a mapping file"},
		{"--map map.yaml", "no rule file given"},
		{"rules.yaml --map map.yaml --form nginx", `--form: "nginx" is not one of envoy, istio, envoy-gateway`},
		{"rules.yaml --map map.yaml --weir here", `--weir: "here" is no HOST:PORT`},
		{"rules.yaml --map map.yaml --weir :8081", `--weir: ":8081" names no host`},
		{"rules.yaml --map map.yaml --weir h:99999", `--weir: "h:99999" has no port from 0 to 65535`},
		{"rules.yaml --map map.yaml --listen :1", "--listen is of a whole bootstrap: add --complete"},
		{"rules.yaml --map map.yaml --namespace x", "--namespace is for --form istio and envoy-gateway"},
		{"rules.yaml --map map.yaml --form istio --complete", "--complete is for --form envoy, not istio"},
		{"rules.yaml --map map.yaml --form istio --selector app", `--selector: "app" is no LABEL=VALUE`},
		{"rules.yaml --map map.yaml --vhost x", "--vhost is for --form istio, not envoy"},
	} {
		got := weirHere(t, nil, append([]string{"envoy"}, strings.Fields(c.args)...)...)
		if got.code != 2 || got.stdout != "" || !strings.Contains(got.stderr, c.want) {
			t.Errorf("weir envoy %s: %+v, want %s", c.args, got, c.want)
		}
	}
	for args, want := range map[string]string{"rules.yaml --map none.yaml": "none.yaml", "none.yaml --map map.yaml": "none.yaml"} {
		if got := weirHere(t, nil, append([]string{"envoy"}, strings.Fields(args)...)...); got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, want) {
			t.Errorf("weir envoy %s: %+v", args, got)
		}
	}
}
