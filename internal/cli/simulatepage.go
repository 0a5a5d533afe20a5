package cli

import "github.com/weir-rls/weir/internal/simulate"

func writePage(file string, names simulate.Names, report *simulate.Report) error { return nil }
