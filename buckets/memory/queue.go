package memory

// The queue is a heap of the numbers of entries, the one queued as soonest full
// first.

// first is the bucket queued as soonest full, nil if there is none.
func (s *Store) first() *bucket {
	if s.byFullAt.size == 0 {
		return nil
	}
	return s.table.entries.at(*s.byFullAt.at(0))
}

// enqueue puts a bucket in the queue under the instant queued.
func (s *Store) enqueue(b *bucket) {
	s.byFullAt.push(b.id)
	s.up(b, s.byFullAt.size-1)
}

// dequeue takes a bucket out of the queue.
func (s *Store) dequeue(b *bucket) {
	last := s.table.entries.at(*s.byFullAt.at(s.byFullAt.size - 1))
	place := uint32(b.place)
	s.byFullAt.pop()
	b.place = notHeld
	if last != b {
		s.fix(last, place)
	}
}

// fix puts a bucket where it belongs, place being free for it.
func (s *Store) fix(b *bucket, place uint32) {
	if !s.down(b, place) {
		s.up(b, place)
	}
}

func (s *Store) put(b *bucket, place uint32) {
	*s.byFullAt.at(place), b.place = b.id, int32(place)
}

// up puts a bucket at a free place or, while it is full sooner than what is above,
// above that.
func (s *Store) up(b *bucket, place uint32) {
	for place > 0 {
		above := s.table.entries.at(*s.byFullAt.at((place - 1) / 2))
		if b.queued >= above.queued {
			break
		}
		s.put(above, place)
		place = (place - 1) / 2
	}
	s.put(b, place)
}

// down puts a bucket at a free place or, while something below is full sooner,
// below that, and tells whether it moved.
func (s *Store) down(b *bucket, place uint32) (moved bool) {
	for {
		left := 2*place + 1
		if left >= s.byFullAt.size {
			break
		}
		below := s.table.entries.at(*s.byFullAt.at(left))
		next := left
		if left+1 < s.byFullAt.size {
			if right := s.table.entries.at(*s.byFullAt.at(left + 1)); right.queued < below.queued {
				below, next = right, left+1
			}
		}
		if below.queued >= b.queued {
			break
		}
		s.put(below, place)
		place, moved = next, true
	}
	s.put(b, place)
	return moved
}
