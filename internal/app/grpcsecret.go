package app

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/internal/files"
)

// secretMetadata is the metadata of a call that has the secret. docs/how-to/envoy.md names it.
const secretMetadata = "x-weir-secret"

// Bounds of a file of secrets. Each call is compared with all of them.
const (
	maxSecrets     = 16
	maxSecretsFile = 64 << 10 // bytes
)

// secretForm is what Envoy sends as it is: a % begins a command there.
var secretForm = regexp.MustCompile(`^[A-Za-z0-9+/=._~-]{32,256}$`)

// secrets are hashes of those that open the gRPC port.
type secrets [][sha256.Size]byte

// readSecrets reads a file of secrets, one in each line besides empty lines and those that
// begin with #. An error begins with file:line and repeats nothing of the line.
func readSecrets(file string) (secrets, error) {
	content, err := readAtMost(file, maxSecretsFile+1)
	var all secrets
	if err == nil {
		all, err = parseSecrets(file, content)
	}
	if err != nil {
		return nil, fmt.Errorf("the secrets of the gRPC port (--grpc-secret-file): %w", err)
	}
	return all, nil
}

func parseSecrets(file string, content []byte) (all secrets, err error) {
	const remedy = "make one, as in openssl rand -hex 32"
	if len(content) > maxSecretsFile {
		return nil, fmt.Errorf("%s: the file has more than %d bytes", file, maxSecretsFile)
	}
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		hash := sha256.Sum256([]byte(line))
		switch {
		case !secretForm.MatchString(line):
			err = errors.New("a secret has 32 to 256 letters, digits and any of + / = . _ ~ - and nothing else: " + remedy)
		case slices.Contains(all, hash):
			err = errors.New("the secret stands there twice: remove one of them")
		case len(all) == maxSecrets:
			err = fmt.Errorf("there are more than %d secrets: remove those that no Envoy sends any more", maxSecrets)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, number, err)
		}
		all = append(all, hash)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: there is no secret in it, so that no call could be answered: %s", file, remedy)
	}
	return all, nil
}

// has tells whether a text that a client sent is one of the secrets. How long it takes tells
// nothing of them but their number.
func (s secrets) has(text string) bool {
	sent := sha256.Sum256([]byte(text))
	found := 0
	for i := range s {
		found |= subtle.ConstantTimeCompare(sent[:], s[i][:])
	}
	return found == 1
}

// doorkeeper lets calls to the gRPC port in that have a secret, and health checks.
//
// It is an interceptor, which runs before the message is decoded, and no
// [grpc.InTapHandle], which runs before it is read: of each call that a tap refuses gRPC
// keeps a timer until the deadline that the client chose, as much later as it likes.
type doorkeeper struct {
	known   func() secrets
	refused func(ctx context.Context, why string) // why is one of two words
}

// doorkeeper is nil where the settings name no secrets.
func (a *App) doorkeeper() (*doorkeeper, error) {
	file := a.settings.GRPCSecretFile
	if file == "" {
		return nil, nil
	}
	known := &files.Replaced[secrets]{
		What: "the secrets of the gRPC port", Names: []string{file}, Every: files.Every, Log: a.log,
		Read: func() (secrets, error) { return readSecrets(file) },
	}
	told := &refusals{log: a.log, message: "a call to the gRPC port was refused"}
	return &doorkeeper{known.Current, func(ctx context.Context, why string) {
		a.metrics.GRPCRefused(why)
		from := ""
		if client, ok := peer.FromContext(ctx); ok {
			from = client.Addr.String()
		}
		told.note(from, "why", "the secret is "+why)
	}}, known.Open()
}

// options make a server ask; a nil one makes it ask nobody.
func (d *doorkeeper) options() []grpc.ServerOption {
	if d == nil {
		return nil
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := d.admit(ctx, info.FullMethod); err != nil {
				return nil, err
			}
			return next(ctx, request)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := d.admit(stream.Context(), info.FullMethod); err != nil {
				return err
			}
			return next(srv, stream)
		}),
	}
}

var healthMethods = "/" + healthpb.Health_ServiceDesc.ServiceName + "/"

// admit answers UNAUTHENTICATED to who has no secret. Whoever balances load knows none, and
// learns no more than whether this replica serves.
func (d *doorkeeper) admit(ctx context.Context, method string) error {
	if strings.HasPrefix(method, healthMethods) {
		return nil
	}
	sent, why := metadata.ValueFromIncomingContext(ctx, secretMetadata), "wrong"
	switch len(sent) {
	case 0:
		why = "missing"
	case 1:
		if d.known().has(sent[0]) {
			return nil
		}
	}
	d.refused(ctx, why)
	return status.Error(codes.Unauthenticated, "the secret is "+why+": have Envoy send one of --grpc-secret-file in grpc_service.initial_metadata as "+secretMetadata)
}
