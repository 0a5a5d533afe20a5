package simulate

// mostParts bounds the parts that a course is kept in. When there are more, each two
// become one.
const mostParts = 256

// finest is the length of a part of a course that has just begun, in microseconds. It
// doubles, so every part begins at a multiple of its length after the start.
const finest = 1000

// course is how many requests were admitted and refused over time.
type course struct {
	start, length int64 // microseconds
	parts         []part
}

type part struct{ admitted, refused int64 }

func newCourse(start int64) *course { return &course{start: start, length: finest} }

func (c *course) count(at int64, admitted bool) {
	i := max(0, at-c.start) / c.length
	for i >= mostParts {
		c.halve()
		i = max(0, at-c.start) / c.length
	}
	for int64(len(c.parts)) <= i {
		c.parts = append(c.parts, part{})
	}
	if admitted {
		c.parts[i].admitted++
	} else {
		c.parts[i].refused++
	}
}

func (c *course) halve() {
	for i := 0; i < len(c.parts); i += 2 {
		p := c.parts[i]
		if i+1 < len(c.parts) {
			p.admitted, p.refused = p.admitted+c.parts[i+1].admitted, p.refused+c.parts[i+1].refused
		}
		c.parts[i/2] = p
	}
	c.parts = c.parts[:(len(c.parts)+1)/2]
	c.length *= 2
}
