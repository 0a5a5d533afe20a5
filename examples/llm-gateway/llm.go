package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// model stands for the models behind the gateway. It says "word " max_tokens
// times, and reports these and the words of the question as its usage, at the
// stream's end too. It limits nothing.
//
// X-Fail makes it fail with a status. With X-Hold it answers, or ends a stream
// that it has begun, when somebody asks it to POST /release; GET /held tells how
// many wait for that. Both are asked directly, beside Envoy.
type model struct {
	http.Handler

	mu      sync.Mutex
	held    int
	release chan struct{}
}

func newModel() *model {
	m := &model{release: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", m.complete)
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, map[string]any{"object": "list", "data": []map[string]string{{"id": "gpt-4"}, {"id": "claude"}}})
	})
	mux.HandleFunc("GET /held", func(w http.ResponseWriter, _ *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		fmt.Fprint(w, m.held)
	})
	mux.HandleFunc("POST /release", func(http.ResponseWriter, *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		close(m.release)
		m.release = make(chan struct{})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "the site:", r.URL.Path) })
	m.Handler = mux
	return m
}

// question is what of a request to /v1/chat/completions matters here.
type question struct {
	Model    string `json:"model"`
	Messages []struct {
		Content string `json:"content"`
	} `json:"messages"`
	MaxTokens int  `json:"max_tokens"`
	Stream    bool `json:"stream"`
}

type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

func (m *model) complete(w http.ResponseWriter, r *http.Request) {
	var q question
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&q)
	w.Header().Set("Content-Type", "application/json")
	if status, bad := strconv.Atoi(r.Header.Get("X-Fail")); bad == nil && status >= 300 && status <= 599 {
		m.wait(r)
		w.WriteHeader(status)
		writeJSON(w, failed("the model failed", "server_error"))
		return
	}
	if err != nil || q.MaxTokens < 0 || q.MaxTokens > 1_000_000 {
		w.WriteHeader(http.StatusBadRequest)
		writeJSON(w, failed("a question that no model understands", "invalid_request_error"))
		return
	}
	u := usage{CompletionTokens: q.MaxTokens}
	for _, message := range q.Messages {
		u.PromptTokens += len(strings.Fields(message.Content))
	}
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
	if q.Stream {
		m.stream(w, r, q, u)
		return
	}
	m.wait(r)
	writeJSON(w, map[string]any{
		"object": "chat.completion", "model": q.Model, "usage": u,
		"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]string{"role": "assistant", "content": words(q.MaxTokens)}}},
	})
}

// stream answers with server-sent events, of which the last but one has the usage.
func (m *model) stream(w http.ResponseWriter, r *http.Request, q question, u usage) {
	w.Header().Set("Content-Type", "text/event-stream")
	event := func(choices []any, usage any) {
		data, err := json.Marshal(map[string]any{"object": "chat.completion.chunk", "model": q.Model, "choices": choices, "usage": usage})
		if err != nil {
			panic(err) // maps of strings and numbers always marshal
		}
		fmt.Fprintf(w, "data: %s\n\n", data)
		_ = http.NewResponseController(w).Flush()
	}
	event([]any{map[string]any{"index": 0, "delta": map[string]string{"content": words(q.MaxTokens)}}}, nil)
	m.wait(r)
	event([]any{}, u)
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// words are a few of n.
func words(n int) string { return strings.Repeat("word ", min(n, 10)) }

// wait holds a request that asks for it until it is released or given up.
func (m *model) wait(r *http.Request) {
	if r.Header.Get("X-Hold") == "" {
		return
	}
	m.mu.Lock()
	m.held++
	release := m.release
	m.mu.Unlock()
	select {
	case <-release:
	case <-r.Context().Done():
	}
	m.mu.Lock()
	m.held--
	m.mu.Unlock()
}
