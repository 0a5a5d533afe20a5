package descriptors

import "strings"

// pieces are taken from larger ones: the garbage collector then walks over a hundred
// values at once instead of one by one. All of a piece is kept while any part of it is,
// which is as long as the domain's rules are.
type pieces[T any] struct {
	free  []T
	taken int
}

// mostPieces is how many are made at once. There are at most as many again as were
// taken, so that a small domain wastes little.
const mostPieces = 1 << 10

func (p *pieces[T]) take(n int) []T {
	if n > len(p.free) {
		p.free = make([]T, max(n, min(p.taken, mostPieces)))
	}
	taken := p.free[:n:n]
	p.free, p.taken = p.free[n:], p.taken+n
	return taken
}

// texts are joined in larger ones, as pieces are.
type texts struct {
	b     strings.Builder
	taken int
}

const mostText = 16 << 10

func (t *texts) join(parts ...string) string {
	n := 0
	for _, part := range parts {
		n += len(part)
	}
	if n > t.b.Cap()-t.b.Len() {
		t.b.Reset() // those who have a part of it keep it
		t.b.Grow(max(n, min(t.taken, mostText)))
	}
	start := t.b.Len()
	for _, part := range parts {
		t.b.WriteString(part)
	}
	t.taken += n
	return t.b.String()[start:]
}
