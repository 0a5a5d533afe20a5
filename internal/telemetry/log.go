// Package telemetry is what weir says of itself: logs and metrics. Other rooms
// are handed a logger or observer functions and know neither format.
package telemetry

import (
	"io"
	"log/slog"
)

// NewLogger returns a logger that writes one JSON object a line. JSON escapes
// what a client or a file might smuggle into a value.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
