// Package telemetry is what weir says of itself: logs and metrics. Other rooms
// are handed a logger or observer functions and know neither format.
package telemetry

import (
	"context"
	"io"
	"log/slog"

	"github.com/weir-rls/weir/descriptors"
)

// NewLogger returns a logger that writes one JSON object a line. JSON escapes
// what a client or a file might smuggle into a value.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

// LogReport logs what a reading of the rules found: each fault, with its place and what
// helps, and what became of each domain that is not as it was.
func LogReport(log *slog.Logger, r descriptors.Report) {
	for _, fault := range r.Faults {
		logFault(log, fault)
	}
	for _, d := range r.Domains {
		if d.State != descriptors.Unchanged {
			log.Info("rules of a domain "+d.State.String(), "domain", d.Name)
		}
	}
}

func logFault(log *slog.Logger, f descriptors.Fault) {
	level, fields := slog.LevelWarn, []any{"file", f.File, "fault", f.Message}
	if f.Severity == descriptors.Error {
		level = slog.LevelError
	}
	if f.Line > 0 {
		fields = append(fields, "line", f.Line, "column", f.Column)
	}
	if f.Path != "" {
		fields = append(fields, "path", f.Path)
	}
	if f.Remedy != "" {
		fields = append(fields, "remedy", f.Remedy)
	}
	log.Log(context.Background(), level, "fault in a rule file", fields...)
}
