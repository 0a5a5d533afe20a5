package pictures

import (
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// The edge of a window: what each algorithm admits of a burst across a full minute.
func edge(t *testing.T) picture {
	p := picture{
		file: "edge", title: "A burst across the edge of a minute, at 100 a minute",
		load: "50 requests a second from 58 s to 62 s, 4 a second after that. The minute ends at 60 s.",
		desc: "Three diagrams of the same load. The fixed window admits 100 before the edge and 100 after it, 200 within four seconds. The sliding window never has more than 100 within any 60 seconds. " +
			"The token bucket admits its burst of 100 and then 1.67 a second, up to 200 within 60 seconds.",
		from: 50, to: 130, tick: 10,
	}
	load := arrivals(stretch{58, 62, 50}, stretch{62, 130, 4})
	for _, a := range []struct {
		name   string
		bucket buckets.Bucket
	}{
		{"fixed_window", buckets.FixedWindow{Limit: 100, Calendar: buckets.Calendar{Unit: buckets.CalendarMinute}}},
		{"sliding_window", buckets.SlidingWindow{Limit: 100, Window: time.Minute.Microseconds(), Parts: buckets.DefaultParts}},
		{"token_bucket, burst: 100", bucket(t, buckets.Terms{Tokens: 100, Period: time.Minute, Capacity: 100})},
	} {
		s, admitted, times := newScene(t), every(1), []float64{}
		within := []point{{x: p.from}}
		for _, at := range load {
			s.until(at)
			if !s.take(buckets.Charge{Key: "b", Bucket: a.bucket, Cost: 1}).Admitted {
				continue
			}
			admitted.add(at, 1)
			times = append(times, at)
			n := 0.0
			for _, before := range times {
				if before > at-60 {
					n++
				}
			}
			within = append(within, point{x: at, y: within[len(within)-1].y}, point{x: at, y: n})
		}
		p.panels = append(p.panels, panel{
			name: a.name, unit: "requests", high: 200, step: 50, height: 110,
			series: []series{
				{"admitted in a second", "a", bars, admitted.points(p.from, p.to)},
				{"admitted in the last 60 s", "b", lines, within},
				level(p, "the limit", 100),
			},
		})
	}
	return p
}

// Refill and burst: a token bucket's level under three loads.
func refill(t *testing.T) picture {
	p := picture{
		file: "refill", title: "A token bucket: rate: 5/s, burst: 20",
		load: "30 requests at once, then 3 a second, which is less than the rate, then 12 a second, which is more.",
		desc: "The upper diagram shows what is left in the bucket. It falls from 20 to 0 with the burst, fills while fewer requests come than tokens, and is empty again under the larger load. " +
			"The lower diagram shows that 20 of the 30 pass at once, all of the small load, and 5 a second of the large one after the saved tokens are used.",
		from: 0, to: 20, tick: 2,
	}
	b := bucket(t, buckets.Terms{Tokens: 5, Period: time.Second, Capacity: 20})
	s, admitted, refused := newScene(t), every(.5), every(.5)
	charge := buckets.Charge{Key: "b", Bucket: b, Cost: 1}
	load := append(make([]float64, 30), arrivals(stretch{2, 11, 3}, stretch{11, 18, 12})...)
	for i := range 30 {
		load[i] = 1
	}
	left := []point{{x: 0, y: s.left(charge)}}
	for _, at := range load {
		s.until(at)
		left = append(left, point{x: at, y: s.left(charge)})
		if s.take(charge).Admitted {
			admitted.add(at, 1)
		} else {
			refused.add(at, 1)
		}
		left = append(left, point{x: at, y: s.left(charge)})
	}
	for at := 18.25; at <= p.to; at += .25 {
		s.until(at)
		left = append(left, point{x: at, y: s.left(charge)})
	}
	p.panels = []panel{
		{name: "in the bucket", unit: "tokens", high: 20, step: 5, height: 120, series: []series{{"tokens left", "a", lines, left}}},
		{name: "in half a second", unit: "requests", high: 30, step: 10, height: 120, series: []series{
			{"admitted", "a", bars, admitted.points(p.from, p.to)}, {"refused", "no pale", bars, refused.points(p.from, p.to)},
		}},
	}
	return p
}

// Counting successes: a service that fails for a while.
func success(t *testing.T) picture {
	p := picture{
		file: "success", title: "Count all requests, or those that succeed: 10 in any 30 s",
		load: "A request each second, answered after half a second. From 3 s to 15 s the service fails all of them.",
		desc: "With count: all the failed requests use the limit up, and the caller is refused when the service is well again. With count: success what failed is given back, so that the ten requests after the failure pass.",
		from: 0, to: 40, tick: 5, shade: [2]float64{3, 15}, shaded: "the service fails", low: true,
	}
	w := buckets.SlidingWindow{Limit: 10, Window: (30 * time.Second).Microseconds(), Parts: buckets.DefaultParts}
	for _, counts := range []string{"all", "success"} {
		s := newScene(t)
		charge := buckets.Charge{Key: "b", Bucket: w, Cost: 1}
		used := []point{{}}
		var refused []point
		note := func(at float64) {
			used = append(used, point{x: at, y: used[len(used)-1].y}, point{x: at, y: 10 - s.left(charge)})
		}
		for at := 1.0; at < p.to; at++ {
			s.until(at)
			o := s.take(charge)
			if !o.Admitted {
				refused = append(refused, point{x: at, y: 11})
			}
			note(at)
			s.until(at + .5)
			if failed := at >= 3 && at < 15; o.Admitted && failed && counts == "success" {
				back := charge
				back.Mode, back.At = buckets.Refund, o.Now
				s.take(back)
			}
			note(at + .5)
		}
		p.panels = append(p.panels, panel{
			name: "count: " + counts, unit: "requests", high: 12, step: 5, height: 110,
			series: []series{{"counted", "a", lines, used}, {"refused", "no", crosses, refused}, level(p, "the limit", 10)},
		})
	}
	return p
}

// Debt: a cost that is known when the stream has ended.
func debt(t *testing.T) picture {
	p := picture{
		file: "debt", title: "A cost that is known at the end: rate: 10/s, burst: 100, max_debt: 60",
		load: "A request each second; each takes 3 s and has used 40 tokens by then.",
		desc: "The level falls below zero, because requests were admitted before the cost of earlier ones was known. While it is below one token new requests are refused. It never falls below minus 60.",
		from: 0, to: 40, tick: 5,
	}
	b := bucket(t, buckets.Terms{Tokens: 10, Period: time.Second, Capacity: 100, MaxDebt: 60})
	s := newScene(t)
	look := buckets.Charge{Key: "b", Bucket: b, Cost: 1, Mode: buckets.Look}
	var left, refused, ends, asked []point
	for at := 0.0; at <= p.to; at += .25 {
		s.until(at)
		if len(ends) > 0 && at >= ends[0].x {
			left = append(left, point{x: at, y: s.left(look)})
			settle := look
			settle.Mode, settle.Cost = buckets.Settle, 40
			s.take(settle)
			ends = ends[1:]
		}
		left = append(left, point{x: at, y: s.left(look)})
		if at != float64(int(at)) || at == 0 {
			continue
		}
		if s.take(look).Admitted {
			ends = append(ends, point{x: at + 3})
			asked = append(asked, point{x: at, y: 110, to: at + .1})
		} else {
			refused = append(refused, point{x: at, y: 110})
		}
	}
	p.panels = []panel{{name: "in the bucket", unit: "tokens", low: -60, high: 120, step: 30, height: 190, series: []series{
		{"tokens left", "a", lines, left},
		{"admitted", "c", spans, asked},
		{"refused", "no", crosses, refused},
		level(p, "nothing left", 0),
	}}}
	return p
}
