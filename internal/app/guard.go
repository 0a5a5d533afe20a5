package app

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/files"
	"github.com/weir-rls/weir/limiter"
)

// guard decides who may use the HTTP port, as the settings want it.
func (a *App) guard() (admin.Guard, error) {
	known, err := adminTokens(a.settings, a.log)
	if err != nil {
		return admin.Guard{}, err
	}
	attempts, err := loginAttempts()
	refused := &refusals{log: a.log, message: "a request to the HTTP port was refused"}
	return admin.Guard{
		Attempt: attempts,
		Tokens:  known, Certificates: a.settings.HTTPClientCA != "",
		Refused: func(r *http.Request, status int, why string) {
			a.metrics.HTTPRefused(status)
			refused.note(r.RemoteAddr, "status", status, "why", why)
		},
	}, err
}

// Attempts to log in, at once and per minute: of each address (a network, of IPv6), and of
// all together, so that many addresses do not make many guesses. The first ones of an
// address are free of what all have, so that a flood keeps nobody out who knows his token.
const (
	attemptsFree, attemptsOfOne, attemptsOfAll = 2, 10, 100

	attemptKeys = 20_000 // two of an address
)

// loginAttempts counts attempts to log in, in buckets of weir's own, in this process:
// who guesses must not depend on the store, nor it on him.
func loginAttempts() (func(*http.Request) (time.Duration, bool), error) {
	attempts, err := limiter.New(limiter.Options{MaxKeys: attemptKeys})
	if err != nil {
		return nil, err
	}
	return func(r *http.Request) (time.Duration, bool) {
		take := func(key string, most int64) limiter.Decision {
			d, _ := attempts.Decide(r.Context(), key, limiter.WithCapacity(most), limiter.WithRatePer(most, time.Minute)) // who has left is not allowed
			return d
		}
		from := limiter.AddressKey(r.RemoteAddr)
		own := take(from, attemptsOfOne)
		if !own.Allowed || take("free "+from, attemptsFree).Allowed {
			return own.RetryAfter, own.Allowed
		}
		all := take("all", attemptsOfAll)
		return all.RetryAfter, all.Allowed
	}, nil
}

// adminTokens are those of the settings and of the file that they name, which must be
// good at the start; nil if there are neither.
func adminTokens(s config.Settings, log *slog.Logger) (func() admin.Tokens, error) {
	t := &tokens{file: s.AdminTokensFile, log: log}
	if s.AdminToken != "" {
		t.fixed = admin.Tokens{admin.NewToken(admin.Operator, "", s.AdminToken.Reveal())}
	}
	if t.file == "" {
		if t.fixed == nil {
			return nil, nil
		}
		return func() admin.Tokens { return t.fixed }, nil
	}
	t.looked = time.Now()
	return t.current, t.read()
}

// tokens are those of a file that may be replaced.
type tokens struct {
	file  string
	fixed admin.Tokens // besides those of the file
	log   *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	content []byte // of which known are
	known   admin.Tokens
	fault   string // of what is in the file now, "" if it is good
}

// current are those that the file states, which is looked at when somebody asks, at
// most once in files.Every. One that cannot be used leaves them as they were.
func (t *tokens) current() admin.Tokens {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.looked) < files.Every {
		return t.known
	}
	t.looked = time.Now()
	before, fault := t.content, ""
	if err := t.read(); err != nil {
		fault = err.Error()
	}
	switch {
	case fault != "" && fault != t.fault:
		t.log.Warn("the tokens of the API were replaced by some that cannot be used; those before stay", "error", fault)
	case fault == "" && !bytes.Equal(t.content, before):
		t.log.Info("the tokens of the API were replaced", "tokens", len(t.known))
	}
	t.fault = fault
	return t.known
}

// read takes in what the file has now, or nothing of it.
func (t *tokens) read() error {
	content, err := readAtMost(t.file, admin.MaxTokensFile+1)
	if err == nil && t.known != nil && bytes.Equal(content, t.content) {
		return nil
	}
	var stated admin.Tokens
	if err == nil {
		stated, err = admin.ParseTokens(t.file, content)
	}
	if err != nil {
		return fmt.Errorf("the tokens of the API (--admin-tokens-file): %w", err)
	}
	t.content, t.known = content, append(stated, t.fixed...)
	return nil
}

func readAtMost(name string, most int64) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, most))
}

// refusalsEvery is how often refused clients are told of at most: each can be one of a
// flood.
const refusalsEvery = 10 * time.Second

// nowAndThen lets a line pass in each time of refusalsEvery, and counts the others.
type nowAndThen struct {
	mu     sync.Mutex
	told   time.Time
	untold int
}

// next tells whether a line may be told, and how many were not since the last one.
func (n *nowAndThen) next() (untold int, tell bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.told.IsZero() && time.Since(n.told) < refusalsEvery {
		n.untold++
		return 0, false
	}
	untold = n.untold
	n.told, n.untold = time.Now(), 0
	return untold, true
}

const othersUntold = "others_since_the_last_line"

// refusals tells of what was refused.
type refusals struct {
	log     *slog.Logger
	message string
	pace    nowAndThen
}

// note tells of a client by its host:port, and what the fields say.
func (r *refusals) note(address string, fields ...any) {
	untold, tell := r.pace.next()
	if !tell {
		return
	}
	from, _, err := net.SplitHostPort(address)
	if err != nil {
		from = "unknown"
	}
	r.log.Warn(r.message, append(fields, "from", from, othersUntold, untold)...)
}

// serverErrors are what net/http has to say of clients: of those that no TLS connection
// came to be with, such as by a certificate of nobody, now and then.
type serverErrors struct {
	log  *slog.Logger
	pace nowAndThen
}

// Write takes one message. It never fails.
func (e *serverErrors) Write(message []byte) (int, error) {
	text := strings.TrimSpace(string(message))
	if !strings.HasPrefix(text, "http: TLS handshake error") {
		e.log.Warn(text)
	} else if untold, tell := e.pace.next(); tell {
		e.log.Warn(text, othersUntold, untold)
	}
	return len(message), nil
}
