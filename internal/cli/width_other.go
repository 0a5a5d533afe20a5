//go:build !unix

package cli

import "io"

// terminalWidth is not known.
func terminalWidth(io.Writer) int { return 0 }
