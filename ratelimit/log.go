package ratelimit

import (
	"io"
	"log/slog"

	"github.com/weir-rls/weir/ratelimit/settings"
)

// NewLogger writes a line for each record, in the words that the reference's log has for
// time, severity and message. What a client or a file might smuggle into a value is escaped.
func NewLogger(w io.Writer, s settings.Log) *slog.Logger {
	names := map[string]string{slog.TimeKey: "time", slog.MessageKey: "msg"}
	if s.JSON() {
		names = map[string]string{slog.TimeKey: "@timestamp", slog.MessageKey: "@message"}
	}
	options := &slog.HandlerOptions{Level: s.Severity(), ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return a
		}
		if name, ok := names[a.Key]; ok {
			a.Key = name
		}
		if level, ok := a.Value.Any().(slog.Level); ok && a.Key == slog.LevelKey {
			a.Value = slog.StringValue(severity(level))
		}
		return a
	}}
	if s.JSON() {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func severity(level slog.Level) string {
	switch {
	case level < slog.LevelDebug:
		return "trace"
	case level < slog.LevelInfo:
		return "debug"
	case level < slog.LevelWarn:
		return "info"
	case level < slog.LevelError:
		return "warning"
	}
	return "error"
}
