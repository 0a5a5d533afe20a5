package app

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// Guesses from many addresses use up what all have together, and not the first attempts of
// an address that did not guess.
func TestLogin_AFloodKeepsNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempt, err := loginAttempts()
		if err != nil {
			t.Fatal(err)
		}
		from := func(address string) (time.Duration, bool) {
			r := httptest.NewRequest("POST", "/login", nil)
			r.RemoteAddr = address
			return attempt(r)
		}
		const addresses = 300
		guesses := 0
		for i := range addresses {
			for range 20 {
				if _, allowed := from(fmt.Sprintf("10.1.%d.%d:1", i/100, i%100)); allowed {
					guesses++
				}
			}
		}
		if want := addresses*attemptsFree + attemptsOfAll; guesses != want {
			t.Errorf("%d addresses made %d guesses at once, want %d", addresses, guesses, want)
		}
		for i := range 3 {
			if wait, allowed := from("[2001:db8::7]:1"); allowed != (i < attemptsFree) || !allowed && (wait <= 0 || wait > time.Minute) {
				t.Errorf("attempt %d of another address: %t, to wait %s", i, allowed, wait)
			}
		}
		time.Sleep(time.Minute)
		for i := range attemptsOfOne + 1 {
			if _, allowed := from("10.1.0.0:9"); allowed != (i < attemptsOfOne) {
				t.Errorf("attempt %d after a minute: %t", i, allowed)
			}
		}
	})
}
