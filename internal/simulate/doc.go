// Package simulate replays traces of requests through rules. They are judged by a
// replica of weir on a virtual clock, and what became of them is counted for each limit.
// No trace is held in memory: what is kept grows with the limits and with who waits at a
// time, not with the requests.
package simulate
