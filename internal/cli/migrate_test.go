package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	rulesThen = "domain: old\ndescriptors:\n  - {key: a, rate_limit: {unit: minute, requests_per_unit: 5}} # why\n"
	rulesNow  = "domain: old\ndescriptors:\n# was a fixed window of a minute\n- {key: a, limits: [{rate: 5/min}]} # why\n"
	envThen   = "REDIS_SOCKET_TYPE=tcp\nREDIS_URL=r:6379\nREDIS_AUTH=secret\nMERGE_DOMAIN_CONFIG=true\n"
)

func TestMigrateHelp_IsTheGoldenFile(t *testing.T) { isTheGoldenHelp(t, "migrate") }

func TestMigrate_PrintsRulesForAPipeAndTheRestBeside(t *testing.T) {
	inFiles(t, map[string]string{"old.conf": rulesThen, "old.env": envThen, "dir/config": rulesThen})
	for args, stdout := range map[string]string{
		"old.conf":                  rulesNow,
		"dir":                       rulesNow,
		"old.conf --keep-windows":   strings.NewReplacer("# was a fixed window of a minute\n", "", "5/min", "5/min, algorithm: fixed_window").Replace(rulesNow),
		"old.conf --env old.env":    rulesNow + "\n# weir serve \\\n#   --rules rules.yaml \\\n#   --store redis \\\n#   --redis-url redis://r:6379 \\\n#   --redis-password-file /etc/weir/redis-password \\\n#   --log-level warn\n\n# REDIS_AUTH: ",
		"dir --out . --env old.env": "weir serve \\\n  --rules . \\\n",
	} {
		got := weirHere(t, nil, append([]string{"migrate"}, strings.Fields(args)...)...)
		if got.code != exitOK || !strings.HasPrefix(got.stdout, stdout) || strings.Contains(got.stdout, "secret") || !strings.Contains(got.stderr, "1 limit of 1 file in 1 domain") {
			t.Errorf("weir migrate %s: %+v", args, got)
		}
	}
	if written, err := os.ReadFile("old.yaml"); err != nil || string(written) != rulesNow {
		t.Errorf("%s, %v", written, err)
	}
	if served := weirHere(t, nil, "check", "old.yaml"); served.code != exitOK || served.stdout != "no faults\n" {
		t.Errorf("%+v", served)
	}
}

func TestMigrate_ReplacesNoFileUnlessToldTo(t *testing.T) {
	inFiles(t, map[string]string{"a": rulesThen, "b": strings.Replace(rulesThen, "old", "other", 1), "dir/old.yaml": "mine"})
	if err := os.Mkdir("config", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := os.Rename(name, filepath.Join("config", name)); err != nil {
			t.Fatal(err)
		}
	}
	got := weirHere(t, nil, "migrate", ".", "--out", "dir")
	if mine, err := os.ReadFile("dir/old.yaml"); got.code != exitFailure || got.stderr != "weir: dir/old.yaml is there already: remove it, or add --overwrite\n" || string(mine) != "mine" {
		t.Errorf("%+v: %s, %v", got, mine, err)
	}
	if _, err := os.Stat("dir/other.yaml"); err == nil {
		t.Error("one of two files was written")
	}
	got = weirHere(t, nil, "migrate", ".", "--out", "dir", "--overwrite")
	if written, err := os.ReadFile("dir/old.yaml"); got.code != exitOK || !strings.HasPrefix(got.stderr, "wrote dir/old.yaml\nwrote dir/other.yaml\n") || string(written) != rulesNow {
		t.Errorf("%+v: %s, %v", got, written, err)
	}
}

func TestMigrate_WritesNothingOfWhatItCannotRead(t *testing.T) {
	inFiles(t, map[string]string{
		"faulty": "domain: d\ndescriptors:\n  - {key: a, rate_limit: {unit: age, requests_per_unit: 1}}\n", "faulty.env": "PORT=eighty\n", "files.env": "PORT=80\n", "ads.env": "CONFIG_TYPE=GRPC_XDS_SOTW\n",
	})
	for args, want := range map[string]result{
		"faulty --out dir":             {exitFailure, "", "faulty:3:33: error: unit cannot be"},
		"absent":                       {exitFailure, "", "no such file"},
		"dir":                          {exitFailure, "", `no rule file in "dir"`},
		"":                             {exitUsage, "", "nothing to migrate: name a runtime directory"},
		"--env faulty.env":             {exitFailure, "", "PORT"},
		"--env files.env":              {exitUsage, "", "the rules are in files there (CONFIG_TYPE): name the runtime directory"},
		"faulty faulty --keep-windows": {exitUsage, "", "one runtime directory, got 2"},
	} {
		got := weirHere(t, nil, append([]string{"migrate"}, strings.Fields(args)...)...)
		if got.code != want.code || got.stdout != want.stdout || !strings.Contains(got.stderr, want.stderr) {
			t.Errorf("weir migrate %s: %+v, want %+v", args, got, want)
		}
	}
	if left, err := os.ReadDir("dir"); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	if got := weirHere(t, nil, "migrate", "--env", "ads.env"); got.code != exitOK || got.stderr != "" || !strings.Contains(got.stdout, "--rules-ads localhost:18000") {
		t.Errorf("%+v", got)
	}
}
