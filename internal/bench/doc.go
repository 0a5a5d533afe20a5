// Package bench loads a rate limit service with requests and measures what they
// cost: latencies as the caller sees them, and, where the server or its Redis
// runs on this machine, their CPU time and memory.
//
// It asks any server of envoy.service.ratelimit.v3.RateLimitService from
// outside, so that weir, the [Floor] and other services are measured alike.
//
// On a busy machine latencies and rates say little. CPU time for a decision,
// and its ratio to that of another server loaded in turn with it, says more.
package bench
