package main

import (
	"net/http"
	"sync"
	"time"
)

// others stands for the APIs of other companies. It keeps a list of who called and
// when, as one would who bills for it.
type others struct {
	mu    sync.Mutex
	calls []call
}

// call is one that arrived.
type call struct {
	api, pod string
	at       time.Time
}

func (o *others) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, call{r.Host, r.Header.Get("X-Pod"), time.Now()})
	_, _ = w.Write([]byte("served\n")) // the caller is gone where writing fails
}

// of are the calls of an API since then, in their order.
func (o *others) of(api string, since time.Time) (calls []call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.calls {
		if c.api == api && !c.at.Before(since) {
			calls = append(calls, c)
		}
	}
	return calls
}
