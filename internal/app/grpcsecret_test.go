package app_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/internal/config"
)

const (
	secret    = "0123456789abcdef0123456789abcdef-now"
	oldSecret = "0123456789abcdef0123456789abcdef-before"
)

// startWithSecrets is a replica that wants one of both.
func startWithSecrets(t *testing.T) *replica {
	file := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(file, []byte("# until Envoy has the next one\n"+oldSecret+"\n\n"+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, oneRule, func(s *config.Settings) { s.GRPCSecretFile, s.GRPCReflection = file, true })
}

func sending(r *replica, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(r.t.Context(), pairs...)
}

// Who has no secret must not use up what others may take, nor have weir read what he sends.
func TestGRPCSecret_ACallWithoutItIsNeitherDecodedNorCharged(t *testing.T) {
	r := startWithSecrets(t)
	const key, garbage = "x-weir-secret", "\x0a\xff"
	missing := 0
	for name, pairs := range map[string][]string{
		"nothing":               nil,
		"nothing in it":         {key, ""},
		"a wrong one":           {key, "0123456789abcdef0123456789abcdef-nob"},
		"one that begins so":    {key, secret[:len(secret)-1]},
		"one that goes on":      {key, secret + "x"},
		"a comment":             {key, "# until Envoy has the next one"},
		"a right one of two":    {key, secret, key, "0123456789abcdef0123456789abcdef-nob"},
		"under another name":    {"authorization", "Bearer " + secret, "x-weir-secret2", secret},
		"both, with a comma":    {key, secret + "," + oldSecret},
		"in other case":         {key, strings.ToUpper(secret)},
		"the empty and a right": {key, "", key, secret},
	} {
		if len(pairs) == 0 || pairs[0] != key {
			missing += 2
		}
		for _, message := range [][]byte{wire("d", "user", "u"), []byte(garbage)} {
			answer, err := r.callWith(sending(r, pairs...), message)
			if status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s: %v, %v; want UNAUTHENTICATED", name, answer, err)
			}
		}
	}
	if got := r.metric(`weir_grpc_refused_total{why="missing"}`); got != float64(missing) {
		t.Errorf("%v calls without a secret are counted, want %d", got, missing)
	}
	if got := r.metric(`weir_grpc_refused_total{why="wrong"}`); got != float64(2*11-missing) {
		t.Errorf("%v calls with a wrong secret are counted, want %d", got, 2*11-missing)
	}
	for i, sent := range []string{oldSecret, secret, secret} {
		answer, err := r.callWith(sending(r, key, sent), wire("d", "user", "u"))
		if want := i/2 + 1; err != nil || int(answer.OverallCode) != want {
			t.Errorf("call %d with a secret: %v, %v; want code %d", i, answer, err, want)
		}
	}
	if lines := r.log.String(); strings.Count(lines, "was refused") != 1 || strings.Contains(lines, "0123456789abcdef") {
		t.Errorf("the log must tell once of who was refused, and no secret:\n%s", lines)
	}
}

// Load balancers know no secret; who looks around needs one.
func TestGRPCSecret_HealthNeedsNoneAndReflectionDoes(t *testing.T) {
	r := startWithSecrets(t)
	if got := r.serving(); got != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("a health check got %v", got)
	}
	watch, err := healthpb.NewHealthClient(r.conn).Watch(r.t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("who watches health got %v, %v", got, err)
	}
	for sent, want := range map[string]codes.Code{"": codes.Unauthenticated, secret: codes.OK} {
		stream, err := reflectionpb.NewServerReflectionClient(r.conn).ServerReflectionInfo(sending(r, "x-weir-secret", sent))
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
		if _, err := stream.Recv(); status.Code(err) != want {
			t.Errorf("reflection with %q: %v, want %v", sent, err, want)
		}
	}
}
