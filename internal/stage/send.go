package stage

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// patience is longer than any wait that an example shows.
const patience = time.Minute

// Request is a call through Envoy.
type Request struct {
	Listener string            // of Envoy's file; "front" if empty
	Method   string            // GET if empty
	Path     string            // with its query
	Header   map[string]string // Host too
	Body     string
	From     string // the caller's address, such as 127.0.0.2; on a connection of its own
	Receipt  bool   // unless it is refused weir is told how it ended, which Repeat waits for
}

// Answer is a response, read whole.
type Answer struct {
	Proto  string // such as "HTTP/1.1 429 Too Many Requests"
	Status int
	Header http.Header
	Body   string
}

// Send sends a request through the Envoys in turn. The error says that there was
// no answer; a refusal is an answer.
func (s *Stage) Send(ctx context.Context, r Request) (Answer, error) {
	listener := r.Listener
	if listener == "" {
		listener = "front"
	}
	envoy := s.Envoys[(s.sent.Add(1)-1)%uint64(len(s.Envoys))]
	request, err := http.NewRequestWithContext(ctx, r.Method, "http://"+envoy.Listener(listener)+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return Answer{}, err
	}
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	if host, stated := r.Header["Host"]; stated {
		request.Host = host
	}
	client := s.client
	if r.From != "" {
		client = from(r.From)
	}
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return Answer{response.Proto + " " + response.Status, response.StatusCode, response.Header, string(body)}, err
}

// from is a client at an address of this machine that keeps no connection.
func from(addr string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}, Timeout: patience}
}

// Repeat sends a request n times, one after the other, and counts the answers by
// their status. A request with a receipt has ended for its client before weir is told so;
// until then it holds its slots and counts as a success, for which the next one may be refused.
func (s *Stage) Repeat(ctx context.Context, n int, r Request) (map[int]int, error) {
	counts := map[int]int{}
	var redeemed int64
	if r.Receipt {
		var err error
		if redeemed, err = s.Redeemed(); err != nil {
			return counts, err
		}
	}
	for range n {
		answer, err := s.Send(ctx, r)
		if err != nil {
			return counts, err
		}
		counts[answer.Status]++
		if r.Receipt && answer.Status != http.StatusTooManyRequests {
			if redeemed, err = s.redeemedMore(ctx, redeemed); err != nil {
				return counts, err
			}
		}
	}
	return counts, nil
}

// redeemedMore waits until more receipts are redeemed than before.
func (s *Stage) redeemedMore(ctx context.Context, before int64) (now int64, err error) {
	err = Until(ctx, time.Millisecond, "weir is told how the request ended", func() (bool, error) {
		now, err = s.Redeemed()
		return now > before, err
	})
	return now, err
}

// Passes sends a request n times, of which so many must pass and the others be refused.
func (s *Stage) Passes(ctx context.Context, n, want int, what string, r Request) error {
	counts, err := s.Repeat(ctx, n, r)
	if err != nil {
		return err
	}
	s.Screen.Tally(what, n, counts[http.StatusOK], -1)
	if counts[http.StatusOK] != want || counts[http.StatusTooManyRequests] != n-want {
		return fmt.Errorf("%s: %v, want %d that pass", what, counts, want)
	}
	return nil
}

// Refused sends a request that must be refused, and shows the answer whole.
func (s *Stage) Refused(ctx context.Context, r Request) error {
	answer, err := s.Send(ctx, r)
	if err != nil {
		return err
	}
	if answer.Status != http.StatusTooManyRequests {
		return fmt.Errorf("%s %s, want a refusal", answer.Proto, answer.Body)
	}
	s.Screen.Line("")
	s.Screen.Answer(answer)
	return nil
}

// Burst sends a request n times at once, and counts the answers by their status;
// no answer counts as 0.
func (s *Stage) Burst(ctx context.Context, n int, r Request) map[int]int {
	counts := map[int]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			answer, err := s.Send(ctx, r)
			if err != nil {
				answer.Status = 0
			}
			mu.Lock()
			defer mu.Unlock()
			counts[answer.Status]++
		})
	}
	all.Wait()
	return counts
}
