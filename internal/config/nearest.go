package config

// Nearest is the known name that name was probably meant to be: the one with
// the fewest letters changed, added, dropped or swapped with a neighbour. ok is
// false if a third of the name or more would have to change.
func Nearest(name string, known []string) (near string, ok bool) {
	const longest = 64 // nobody means a setting by more, and the work grows with the length
	if len(name) > longest {
		return "", false
	}
	best := (len(name) + 2) / 3
	for _, candidate := range known {
		if d := distance(name, candidate); d < best {
			best, near, ok = d, candidate, true
		}
	}
	return near, ok
}

// distance is the optimal string alignment distance, in bytes.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
