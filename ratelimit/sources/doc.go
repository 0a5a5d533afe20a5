// Package sources is where the drop-in's rules come from, and what it tells of them: trees
// of files as envoyproxy/ratelimit finds them below RUNTIME_ROOT, and /rlconfig.
package sources
