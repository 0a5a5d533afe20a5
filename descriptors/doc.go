// Package descriptors is the rule files: it reads and checks them, matches a
// request's descriptors with their rules, and names the bucket that each limit
// charges.
//
// A file becomes nodes (yaml.go), the nodes rules (parse.go and its neighbours,
// which report all faults of a file at once, each with its place), the rules of
// a domain's files a tree (compile.go), and the trees of all domains a [Rules]
// snapshot, which never changes. [Load] does so once, a [Source] again whenever
// a file changes; a domain with errors keeps its last good rules.
// [Rules.Resolve] is what a request runs through: it walks the tree (match.go),
// decides the cost (hits.go) and builds the bucket's key (key.go).
//
// The language is the reference service's and what weir adds to it. What the former
// means is one of two things: see [Dialect].
package descriptors
