package limiter_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/weir-rls/weir/limiter"
)

func ExampleLimiter_Allow() {
	l, err := limiter.New(limiter.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	for range 4 {
		allowed, err := l.Allow(context.Background(), "user:7", limiter.WithCapacity(3), limiter.WithRatePer(3, time.Hour))
		fmt.Println(allowed, err)
	}
	// Output:
	// true <nil>
	// true <nil>
	// true <nil>
	// false <nil>
}
