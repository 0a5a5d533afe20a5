package descriptors

import (
	"fmt"
	"net/url"
	"time"
)

const (
	defaultStep       = 10
	defaultBadPercent = 5
	defaultMinPercent = 30
	minStale          = time.Second
)

// follows reads what a pool's size follows.
func (w *walker) follows(fields map[string]field, s *poolSpec) {
	if f, ok := fields["instances"]; ok {
		s.instancesAt = at(w.text, f.value)
		s.instances = w.instances(f)
	}
	if f, ok := fields["feedback"]; ok {
		s.feedbackAt = at(w.text, f.value)
		s.feedback = w.feedback(f)
	}
}

// instances reads how a pool's size follows its backends, nil where it cannot.
func (w *walker) instances(f field) *Instances {
	fields, ok := w.fields(f.value, instancesFields)
	if !ok {
		return nil
	}
	faults := len(w.faults)
	i := &Instances{Step: defaultStep}
	for name, number := range map[string]*int64{"units_each": &i.UnitsEach, "min": &i.Min, "max": &i.Max} {
		n, stated := fields[name]
		if !stated {
			w.fail(f.value, "write instances: {units_each: 20, min: 20, max: 400}", "instances has no %s", name)
			continue
		}
		*number, _ = w.integer(n, 1, maxTokens)
	}
	if i.Min > i.Max && i.Max > 0 {
		w.fail(fields["min"].value, "lower it, or raise max", "min is %d, more than max, %d", i.Min, i.Max)
	}
	if n, ok := fields["step_percent"]; ok {
		i.Step, _ = w.integer(n, 1, 100)
	}
	if n, ok := fields["stale_after"]; ok {
		i.StaleAfter, _ = w.duration(n, minStale, day, "leave it out to keep the last size for ever")
	}
	if n, ok := fields["envoy"]; ok {
		w.envoySource(n, i)
	}
	if len(w.faults) > faults {
		return nil
	}
	return i
}

// envoySource reads which Envoy is asked for healthy hosts of which cluster.
func (w *walker) envoySource(f field, i *Instances) {
	fields, ok := w.fields(f.value, envoySourceFields)
	if !ok {
		return
	}
	admin, stated := fields["admin"]
	cluster, named := fields["cluster"]
	if !stated || !named {
		w.fail(f.value, "write envoy: {admin: \"http://127.0.0.1:9901\", cluster: backend}", "envoy needs both admin and cluster")
		return
	}
	i.Cluster = w.name(cluster)
	if i.EnvoyAdmin, ok = w.str(admin); !ok {
		return
	}
	u, err := url.Parse(i.EnvoyAdmin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		w.fail(admin.value, "write it as in http://127.0.0.1:9901", "admin cannot be %s", kindOf(admin.value))
	}
}

// feedback reads how a pool shrinks when what it admits fails, nil where it cannot.
func (w *walker) feedback(f field) *Feedback {
	fields, ok := w.fields(f.value, feedbackFields)
	if !ok {
		return nil
	}
	b := &Feedback{BadPercent: defaultBadPercent, MinPercent: defaultMinPercent}
	sound := true
	if n, stated := fields["bad_percent"]; stated {
		b.BadPercent, ok = w.integer(n, 0, 99)
		sound = sound && ok
	}
	if n, stated := fields["min_percent"]; stated {
		b.MinPercent, ok = w.integer(n, 1, 100)
		sound = sound && ok
	}
	if n, stated := fields["freeze"]; stated {
		b.Freeze, ok = w.boolean(n)
		sound = sound && ok
	}
	if !sound {
		return nil
	}
	return b
}

// follow plans a pool of the domain whose parts are sound, and reports what its
// size could not become.
func (c *compiler) follow(p *pooling) {
	s, l := p.spec, planOf(p, c.domain.name)
	p.pool.plan = l
	c.domain.pools = append(c.domain.pools, p.pool)
	smallest, here := l.stated.Size, s.instancesAt
	if s.instances != nil {
		smallest = s.instances.Min
		if l.fit(s.instances.Max).bucket.Size() < s.instances.Max {
			c.fail(here, "the pool "+quote(s.name)+" cannot be counted exactly at its largest", "state a smaller max, or a rounder rate")
		}
	}
	if s.feedback != nil {
		smallest, here = smallest*s.feedback.MinPercent/100, s.feedbackAt
	}
	if smallest < l.stated.Least {
		c.warn(here, fmt.Sprintf("the pool %s would shrink to %d, and its classes need %d: it never holds less", quote(s.name), smallest, l.stated.Least),
			"raise min or min_percent, or lower a reserve or a weight")
	}
}

// elastic is what a file states of a pool, whose bucket keeps what was used of it
// when it was at its largest.
func (c *compiler) elastic(s *poolSpec) *poolSpec {
	if s.instances == nil || !s.sound {
		return s
	}
	elastic, i, size := *s, s.instances, s.limit.Bucket.Size()
	if elastic.sound = i.Min <= size && size <= i.Max; !elastic.sound {
		c.fail(s.instancesAt, fmt.Sprintf("the pool %s holds %d as stated, which is not from %d to %d", quote(s.name), size, i.Min, i.Max),
			"state what it holds for a usual number of instances")
	} else if !s.ofSlots() {
		elastic.terms.Kept = i.Max + s.terms.MaxDebt - size
		bucket, err := elastic.terms.TokenBucket()
		if elastic.sound = err == nil; !elastic.sound {
			c.fail(s.instancesAt, fmt.Sprintf("of a pool that may hold %d: %v", i.Max, err), "state a smaller max")
		}
		elastic.limit.Bucket = bucket
	}
	return &elastic
}
