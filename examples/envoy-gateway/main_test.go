package main

import (
	"testing"

	"github.com/weir-rls/weir/internal/stage/stagetest"
)

func TestMain(m *testing.M) { stagetest.Main(m) }

func TestStory(t *testing.T) { stagetest.Story(t, example) }
