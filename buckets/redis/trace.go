package redis

import "github.com/weir-rls/weir/buckets"

// Flight is a batch of requests that travel together, in which somebody's call is followed.
type Flight struct {
	Requests int
	Charges  int
	Calls    int // of scripts, all in one pipeline
	Riders   []Rider
}

// Rider is a request in a [Flight] whose call is followed.
type Rider struct {
	Trace  buckets.Trace
	Script string // that judges it
}

// follow tells of a batch, if anybody in it is followed.
func (s *Store) follow(under []*batchCall) (landed func()) {
	f := Flight{Calls: len(under)}
	for _, c := range under {
		f.Requests += len(c.requests)
		f.Charges += c.charges
		for _, r := range c.requests {
			if trace := traceOf(r.asker); trace != nil {
				f.Riders = append(f.Riders, Rider{trace, c.scriptName()})
			}
		}
	}
	if len(f.Riders) == 0 {
		return nil
	}
	return s.traced(f)
}

// scriptName is that of a file of lua.
func (c *batchCall) scriptName() string {
	switch c.script {
	case &takeTokens:
		return "token1"
	case &takeFixed:
		return "fixed1"
	case &takeMany:
		return "tokens"
	}
	return "judge"
}

// traceOf is what follows the call of an asker, nil if nothing does.
func traceOf(a buckets.Asker) buckets.Trace {
	if t, ok := a.(buckets.Traced); ok {
		return t.Trace()
	}
	return nil
}

// Trace implements [buckets.Traced].
func (g *group) Trace() buckets.Trace { return traceOf(g.whole.asker) }

// Trace implements [buckets.Traced].
func (g *gated) Trace() buckets.Trace { return traceOf(g.asker) }
