// Package backend opens what the drop-in counts in: Redis or Valkey, by the settings of
// envoyproxy/ratelimit, or the memory of this process.
//
// A call waits for Redis until its caller's deadline, and for a second at most unless a
// setting says otherwise. While Redis does not answer, no call waits for it: what asks for
// an error of its store gets one at once.
package backend
