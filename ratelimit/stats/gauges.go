package stats

import "runtime"

// value is a number that is read when it is wanted. One that grows is a counter.
type value struct {
	name  string
	grows bool
	n     uint64
}

// number is what a sink is told: a counter or a value.
type number struct {
	counted
	grows bool
	n     uint64
}

// key tells numbers apart without their names, which are long.
func (n number) key() numberKey {
	if n.Counter != nil {
		return numberKey{counter: n.Counter}
	}
	return numberKey{name: n.base}
}

type numberKey struct {
	counter *Counter
	name    string // of a value
}

// Pool is the state of a pool of connections to Redis.
type Pool struct {
	Active uint64 // connections that are open
	Opened uint64 // since the start
	Closed uint64 // since the start, by this side
}

// RedisPool shows a pool under a name, "redis_pool" or "redis_per_second_pool".
func (s *Stats) RedisPool(name string, read func() Pool) {
	base := "ratelimit." + clean(name)
	s.generate(func() []value {
		p := read()
		return []value{{base + ".cx_active", false, p.Active}, {base + ".cx_total", true, p.Opened}, {base + ".cx_local_close", true, p.Closed}}
	})
}

// Cache is the state of the local cache of limits that are exceeded.
type Cache struct {
	Evacuated, Expired, Entries uint64
	AverageAccessTime           uint64 // in seconds since the epoch, as the reference has it
	Hits, Misses, Lookups       uint64
	Overwritten                 uint64
}

// LocalCache shows the local cache.
func (s *Stats) LocalCache(read func() Cache) {
	const base = "ratelimit.localcache."
	s.generate(func() []value {
		c := read()
		return []value{
			{base + "evacuateCount", false, c.Evacuated},
			{base + "expiredCount", false, c.Expired},
			{base + "entryCount", false, c.Entries},
			{base + "averageAccessTime", false, c.AverageAccessTime},
			{base + "hitCount", false, c.Hits},
			{base + "missCount", false, c.Misses},
			{base + "lookupCount", false, c.Lookups},
			{base + "overwriteCount", false, c.Overwritten},
		}
	})
}

func (s *Stats) generate(read func() []value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generators = append(s.generators, read)
}

// goRuntime is what the Go runtime tells of itself.
func goRuntime() []value {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	const base = "ratelimit.go."
	return []value{
		{base + "alloc", false, m.Alloc},
		{base + "totalAlloc", true, m.TotalAlloc},
		{base + "sys", false, m.Sys},
		{base + "lookups", true, m.Lookups},
		{base + "mallocs", true, m.Mallocs},
		{base + "frees", true, m.Frees},
		{base + "heapAlloc", false, m.HeapAlloc},
		{base + "heapSys", false, m.HeapSys},
		{base + "heapIdle", false, m.HeapIdle},
		{base + "heapInuse", false, m.HeapInuse},
		{base + "heapReleased", false, m.HeapReleased},
		{base + "heapObjects", false, m.HeapObjects},
		{base + "nextGC", false, m.NextGC},
		{base + "lastGC", false, m.LastGC},
		{base + "pauseTotalNs", true, m.PauseTotalNs},
		{base + "numGC", true, uint64(m.NumGC)},
		{base + "gcCPUPercent", false, uint64(m.GCCPUFraction * 100)},
		{base + "numGoroutine", false, uint64(runtime.NumGoroutine())},
	}
}
