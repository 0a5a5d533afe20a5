package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tokens asks a weir for tokens over HTTP, as a program does that calls others
// without an Envoy between.
type tokens struct {
	addr string // of weir's HTTP port
}

// answer is what weir answers: a status, and a body.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// do sends a request to the API.
func (t tokens) do(ctx context.Context, method, path string, body any) (answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	if raw, isText := body.(string); isText {
		text = []byte(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+t.addr+"/api/v1"+path, bytes.NewReader(text))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return answer{response.StatusCode, response.Header, string(read)}, err
}

// create makes a bucket that holds at most maxTokens and gets one each period,
// unless there is one of its name.
func (t tokens) create(ctx context.Context, bucket string, maxTokens int, period time.Duration) (created bool, err error) {
	a, err := t.do(ctx, http.MethodPut, "/buckets/"+url.PathEscape(bucket), map[string]any{
		"max_tokens": maxTokens, "refill_period_ms": period.Milliseconds(),
	})
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("create the bucket %s: %d %s", bucket, a.Status, a.Body)
	}
	if err != nil {
		return false, err
	}
	var there struct{ Created bool }
	err = json.Unmarshal([]byte(a.Body), &there)
	return there.Created, err
}

// acquire waits for a token of a bucket.
func (t tokens) acquire(ctx context.Context, bucket string, wait time.Duration) error {
	a, err := t.do(ctx, http.MethodPost, "/acquire?wait="+wait.String(), map[string]string{"bucket": bucket})
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("acquire a token of %s: %d %s", bucket, a.Status, a.Body)
	}
	return err
}

// lines speaks the line protocol on one connection.
type lines struct {
	net.Conn
	answers *bufio.Reader
}

func dialLines(ctx context.Context, addr string) (*lines, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &lines{conn, bufio.NewReader(conn)}, nil
}

// send sends lines without waiting for their answers.
func (l *lines) send(all ...string) error {
	_, err := io.WriteString(l, strings.Join(all, "\n")+"\n")
	return err
}

// next is the next answer.
func (l *lines) next() (string, error) {
	text, err := l.answers.ReadString('\n')
	return strings.TrimSpace(text), err
}

// host is host and port, as nc takes them.
func host(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host + " " + port
}
