package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// maxReply is how much of a webhook's answer is read, so that its connection can be
// used again.
const maxReply = 64 << 10

// Webhook is the sink that posts events to a URL, as a JSON array. A status of 2xx
// takes them. After 408, 425, 429 and 5xx, and without an answer, they are posted
// again; any other status refuses them. Redirects are not followed.
func Webhook(to string) Sink {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost = 1
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return Sink{Name: "webhook", Send: func(ctx context.Context, events []Event) (int, error) {
		body, err := json.Marshal(events)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if err := post(ctx, client, to, body); err != nil {
			return 0, err
		}
		return len(events), nil
	}}
}

// post makes one request. Its error does not hold the URL, which may have a
// password or a token in it.
func post(ctx context.Context, client *http.Client, to string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: the webhook is no URL", ErrRefused)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "weir")
	response, err := client.Do(request)
	if err != nil {
		if where := (*url.Error)(nil); errors.As(err, &where) {
			err = where.Err
		}
		return fmt.Errorf("post events: %w", err)
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxReply)
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 500, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		return fmt.Errorf("post events: the webhook answers %d", code)
	default:
		return fmt.Errorf("%w: the webhook answers %d", ErrRefused, code)
	}
}
