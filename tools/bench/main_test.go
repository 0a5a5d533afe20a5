package main

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// A goroutine that outlives the tests outlives its work in the command too.
func TestMain(m *testing.M) { goleak.VerifyTestMain(partstest.Suite{M: m}) }
