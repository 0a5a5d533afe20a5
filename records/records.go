// Package records keeps the few things that are set while weir runs: small
// records under names, with one version for all of them and a journal of what was
// done. All replicas that share a store see the same.
package records

import "context"

// Records is a store of records. Its methods speak in built-in types, so that a
// store of buckets can be one without importing this package.
type Records interface {
	// Version grows with each Write, 0 when nothing was ever written. It is cheap:
	// whoever wants to notice changes asks for it several times a second.
	Version(ctx context.Context) (int64, error)
	// Read answers all records, and the version that they are of.
	Read(ctx context.Context) (version int64, records map[string][]byte, err error)
	// Write sets and removes records in one atomic step and appends note to the
	// journal, unless it is empty. It does nothing and answers written == false if
	// the version is not expect any more.
	Write(ctx context.Context, expect int64, set map[string][]byte, remove []string, note []byte) (version int64, written bool, err error)
	// Notes are the latest of the journal, newest first, at most n. The journal
	// holds 1,000.
	Notes(ctx context.Context, n int) ([][]byte, error)
}
