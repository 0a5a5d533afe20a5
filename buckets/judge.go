package buckets

// Judge decides the charges of one request and is the reference for every
// store. used[i] is the level of charge i's bucket before the request, in ticks
// used; charges with equal keys are one bucket and have equal levels. On return
// used[i] is the level that is to stand. now, in microseconds since the epoch,
// is only passed on to the outcomes.
//
// Judging is sequential: a bucket that is charged twice in one request is
// judged the second time after what was asked of it the first time, granted or
// not, for the request needs both. The request passes if every enforcing charge
// is admitted; then each admitted charge stands. Otherwise nothing is taken, and
// only refunds stand: what somebody gives back is his whether or not what he
// asks for beside it is granted.
func Judge(charges []Charge, used []int64, now int64) []Outcome {
	var first [MaxCharges]int
	for i := range charges {
		first[i] = firstWithKey(charges, charges[i].Key)
	}
	var before [MaxCharges]int64
	copy(before[:], used)

	outcomes := make([]Outcome, len(charges))
	passes := true
	for i, c := range charges {
		level := &used[first[i]]
		outcomes[i] = judgeOne(c, level)
		outcomes[i].Now = now
		if !outcomes[i].Admitted && c.Role == Enforce {
			passes = false
		}
	}
	if !passes {
		copy(used, before[:])
		for i, c := range charges {
			if c.Mode == Refund {
				judgeOne(c, &used[first[i]])
			}
		}
	}
	for i := range charges {
		used[i] = used[first[i]]
		outcomes[i].Used = used[i]
	}
	return outcomes
}

// judgeOne judges c at a level of used ticks and moves the level by what c asks
// for or gives back.
func judgeOne(c Charge, used *int64) Outcome {
	cost := c.Tokens() * c.Bucket.TicksPerToken
	if c.Mode == Refund {
		*used = max(0, *used-cost)
		return Outcome{Admitted: true}
	}
	over := *used + cost - c.Bucket.Full()
	granted := over <= 0 && !c.Hopeless()
	// A request that asks for more than a full bucket can never pass, so past
	// twice that nothing counts, and the numbers stay exact.
	most := 2 * c.Bucket.Full()
	if c.Mode == Take && (granted || c.Role == Enforce) {
		*used = min(*used+cost, most)
	}
	if granted {
		return Outcome{Admitted: true}
	}
	return Outcome{Short: min(max(over, 0), most)}
}

func firstWithKey(charges []Charge, key string) int {
	for i := range charges {
		if charges[i].Key == key {
			return i
		}
	}
	return len(charges)
}
