package storetest

import "math/big"

// mostTicks is the largest count that a store can tell from the next one.
var mostTicks = big.NewInt(1<<53 - 1)

var one = big.NewRat(1, 1)

func tokens(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

func sum(a, b *big.Rat) *big.Rat { return new(big.Rat).Add(a, b) }

func sub(a, b *big.Rat) *big.Rat { return new(big.Rat).Sub(a, b) }

func atMost(a, most *big.Rat) *big.Rat {
	if a.Cmp(most) > 0 {
		return most
	}
	return a
}

func atLeast0(a *big.Rat) *big.Rat {
	if a.Sign() < 0 {
		return new(big.Rat)
	}
	return a
}

func floor(r *big.Rat) *big.Int { return new(big.Int).Div(r.Num(), r.Denom()) }

func ceil(r *big.Rat) *big.Int {
	n := floor(r)
	if !r.IsInt() {
		n.Add(n, big.NewInt(1))
	}
	return n
}

// inTicks is an amount in ticks of which unit are a token, and whether it is a
// whole number of them.
func inTicks(amount *big.Rat, unit int64) (*big.Int, bool) {
	ticks := new(big.Rat).Mul(amount, tokens(unit))
	return ceil(ticks), ticks.IsInt()
}

// whole is an amount that must be a whole number of tokens.
func whole(amount *big.Rat) int64 {
	if !amount.IsInt() || !amount.Num().IsInt64() {
		panic("the model lost count: " + amount.String() + " tokens")
	}
	return amount.Num().Int64()
}

// instant is n if it is one, else the last one there is.
func instant(n *big.Int) int64 {
	if !n.IsInt64() {
		return 1<<63 - 1
	}
	return n.Int64()
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
