// Package migrate rewrites what a deployment of envoyproxy/ratelimit is told as what
// weir serve is told: its rule files in weir's own form, and its environment as flags.
// What then differs stands beside each rule, and what has no counterpart is named.
package migrate
