// Package buckets is the arithmetic of weir and the port to the stores that
// hold its state.
//
// The arithmetic is pure: time is an argument, integers decide, nothing is
// rounded. The port is one atomic verb on a batch, [Store]: a request's charges
// are admitted together or not at all. [Judge] is the reference for what a
// store must answer; buckets/memory calls it, buckets/redis says the same in
// Lua, and buckets/storetest holds both against a model that shares no code
// with either.
package buckets
