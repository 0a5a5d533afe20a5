package ratelimit_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/credentials/insecure"

	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/ratelimit"
	"github.com/weir-rls/weir/ratelimit/settings"
)

func TestWhatHasNoEffectIsToldOnce(t *testing.T) {
	var log partstest.Log
	s, ignored, err := settings.Read(environ(tree(t, perMinute), "REDIS_PIPELINE_LIMIT=5"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := ratelimit.New(s, ratelimit.Options{Log: ratelimit.NewLogger(&log, s.Log), Ignored: ignored, Args: []string{"--quotaRateLimitServiceAddr=a:1", "x\ny"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`level=warning msg="a setting has no effect" variable=REDIS_PIPELINE_LIMIT why=`,
		`level=info msg="arguments have no effect: settings are environment variables" arguments="[--quotaRateLimitServiceAddr=a:1 x\ny]"`,
	} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("not once %s:\n%s", want, log.String())
		}
	}
}

// Fields and words are those that collectors of the reference's log look for.
func TestLogForms(t *testing.T) {
	for format, want := range map[string][]string{
		"json": {`{"@timestamp":"20`, `","level":"warning","@message":"a\nb","error":"c\nd"}` + "\n"},
		"text": {"time=20", ` level=warning msg="a\nb" error="c\nd"` + "\n"},
	} {
		var log bytes.Buffer
		l := ratelimit.NewLogger(&log, settings.Log{Level: "WARN", Format: format})
		l.Info("not shown")
		l.Warn("a\nb", "error", errors.New("c\nd"))
		if text := log.String(); !strings.HasPrefix(text, want[0]) || !strings.HasSuffix(text, want[1]) {
			t.Errorf("%s: %s", format, text)
		}
	}
}

func TestTracing_SpansAreOfTheServiceThatIsNamed(t *testing.T) {
	c := partstest.NewCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+c.Addr)
	r := start(t, environ(tree(t, perMinute), "TRACING_ENABLED=true", "TRACING_EXPORTER_PROTOCOL=grpc", "TRACING_SERVICE_NAME=envoy-ratelimit")...)
	if _, err := r.ask(insecure.NewCredentials()); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if err := r.ended(); err != nil {
		t.Error(err)
	}
	if all := c.Spans(); len(all) != 1 || all[0].Service != "envoy-ratelimit" || all[0].Name != "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit" {
		t.Errorf("the spans are %v", all)
	}
	if silent := start(t, environ(tree(t, perMinute))...); silent != nil {
		if _, err := silent.ask(insecure.NewCredentials()); err != nil || len(c.Spans()) != 1 {
			t.Errorf("without TRACING_ENABLED there are spans, or %v", err)
		}
	}
}

// A collector's address without a scheme, which the reference's library leaves aside, keeps
// nothing from being limited.
func TestTracing_AWrongAddressIsToldAndEndsNothing(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")
	r := start(t, environ(tree(t, perMinute), "TRACING_ENABLED=true")...)
	if _, err := r.ask(insecure.NewCredentials()); err != nil || !strings.Contains(r.log.String(), "OTEL_EXPORTER_OTLP_ENDPOINT is not the URL of a collector") {
		t.Errorf("%v, the log says:\n%s", err, r.log)
	}
}
