package memory

// slab is a list that grows by chunks, so that growing it copies nothing that is in
// it, and what is in it stays where it is.
type slab[T any] struct {
	chunks []*[chunk]T
	size   uint32
}

const chunk = 1 << 10

func (s *slab[T]) at(i uint32) *T { return &s.chunks[i/chunk][i%chunk] }

// push adds v, which is s.at(s.size-1) then.
func (s *slab[T]) push(v T) {
	if s.size == uint32(len(s.chunks))*chunk {
		s.chunks = append(s.chunks, new([chunk]T))
	}
	s.size++
	*s.at(s.size - 1) = v
}

// pop removes the last.
func (s *slab[T]) pop() { s.size-- }
