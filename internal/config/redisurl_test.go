package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is made of a Redis URL, well formed or not, and wherever it was
// written, its password is neither in an error nor in a log line.
func TestPasswordIsNeverPrinted(t *testing.T) {
	t.Chdir(t.TempDir())
	rapid.Check(t, func(r *rapid.T) {
		password := rapid.StringMatching(`[a-zA-Z0-9]{2}[!-~]{6,10}`).Draw(r, "password")
		form := rapid.SampledFrom([]string{
			"redis://:%s@h:6379/0", "redis://user:%s@h", "rediss://%s@h/1", "redis://:%s@", "redis://user:%s", "redis:%s@h",
			"redis//:%s@h", ":%s@h:6379", "%s", "http://u:%s@h", "redis://u:%s@h/x", "redis://u:%s@h:port", "redis://h:1/0#%s",
			"redis://h:1/%s", "redis://h:1/0?password=%s", " redis://u:%s@h",
		}).Draw(r, "form")
		url := fmt.Sprintf(form, password)
		args, environ, content := []string(nil), []string(nil), ""
		switch rapid.SampledFrom([]string{"flag", "env", "file"}).Draw(r, "source") {
		case "flag":
			args = []string{"--redis-url=" + url}
		case "env":
			environ = []string{"WEIR_REDIS_URL=" + url}
		default:
			quoted, _ := json.Marshal(url)
			content = "redis_url: " + string(quoted) + "\n"
		}
		write(t, DefaultFile, content)
		settings, warnings, err := loadHere(t, args, environ)
		if err == nil && settings.RedisURL.Reveal() != url {
			r.Fatalf("got %s, want %s", settings.RedisURL.Reveal(), url)
		}
		for _, said := range append(sayings(settings), fmt.Sprint(warnings), fmt.Sprint(err), RedisURL(url).String()) {
			if strings.Contains(said, password) {
				r.Fatalf("%s shows the password in: %s", url, said)
			}
		}
	})
}

// sayings is settings in every way that code may print them by accident.
func sayings(settings Settings) []string {
	var logged bytes.Buffer
	for _, log := range []*slog.Logger{slog.New(slog.NewJSONHandler(&logged, nil)), slog.New(slog.NewTextHandler(&logged, nil))} {
		log.Info("start", "settings", settings, "url", settings.RedisURL)
	}
	marshalled, _ := json.Marshal(settings)
	return []string{
		fmt.Sprintf("%v %+v %#v", settings, settings, settings),
		fmt.Sprintf("%s %q %x %v", settings.RedisURL, settings.RedisURL, settings.RedisURL, &settings),
		logged.String(), string(marshalled),
	}
}

func TestRedactedURL_StillNamesTheServer(t *testing.T) {
	for url, want := range map[string]string{
		"redis://127.0.0.1:6379/0":    "redis://127.0.0.1:6379/0",
		"rediss://u:p@host:1/2?a=b":   "rediss://***@host:1/2",
		"redis://token@host":          "redis://***@host",
		"redis://default:forgot-host": "redis://***",
		"secret":                      "***",
	} {
		if got := RedisURL(url).String(); got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
	}
}
