package pictures

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
)

// clock is the virtual time of a scene, in seconds since it began.
type clock struct{ start time.Time }

func (c clock) now() float64 { return time.Since(c.start).Seconds() }

// until sleeps until the scene's time is at.
func (c clock) until(at float64) {
	time.Sleep(time.Until(c.start.Add(time.Duration(at * float64(time.Second)))))
}

// scene is a store in virtual time.
type scene struct {
	*testing.T
	clock
	store buckets.Store
}

func newScene(t *testing.T) *scene {
	return &scene{t, clock{time.Now()}, memory.New(memory.Options{Now: time.Now})}
}

// take asks one charge.
func (s *scene) take(c buckets.Charge) buckets.Outcome {
	s.Helper()
	outcomes, err := s.store.Take(context.Background(), []buckets.Charge{c})
	if err != nil {
		s.Fatal(err)
	}
	return outcomes[0]
}

// left is what is left of a bucket, in tokens, below 0 what it owes.
func (s *scene) left(c buckets.Charge) float64 {
	s.Helper()
	c.Mode, c.Cost = buckets.Look, 0
	o := s.take(c)
	return float64(c.Bucket.Full()-o.Used) / float64(c.Bucket.Unit())
}

// bucket is a token bucket of a rule.
func bucket(t *testing.T, terms buckets.Terms) buckets.TokenBucket {
	t.Helper()
	b, err := terms.TokenBucket()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// arrivals are the times of requests: n a second, evenly, in each stretch.
type stretch struct{ from, to, perSecond float64 }

func arrivals(stretches ...stretch) (times []float64) {
	for _, s := range stretches {
		n := int((s.to-s.from)*s.perSecond + .5)
		for i := range n {
			times = append(times, s.from+float64(i)/s.perSecond)
		}
	}
	return times
}

// count adds up what happened at each time, in steps of a width.
type count struct {
	width float64
	at    map[int]float64
}

func every(width float64) *count { return &count{width, map[int]float64{}} }

func (c *count) add(at, n float64) { c.at[int(at/c.width+1e-9)] += n }

// points are the sums as bars, from a time to another.
func (c *count) points(from, to float64) (points []point) {
	for i := int(from/c.width + 1e-9); float64(i)*c.width < to-1e-9; i++ {
		points = append(points, point{float64(i) * c.width, c.at[i], float64(i+1) * c.width})
	}
	return points
}

// level is a line across the picture.
func level(p picture, name string, y float64) series {
	return series{name, "lim", lines, []point{{x: p.from, y: y}, {x: p.to, y: y}}}
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func lease(i int) string { return fmt.Sprint("lease-", i) }
