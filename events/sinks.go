package events

import (
	"context"
	"encoding/json"
	"log/slog"
)

// Log is the sink that writes events to a log.
func Log(log *slog.Logger) Sink {
	return Sink{Name: "log", Send: func(ctx context.Context, events []Event) (int, error) {
		for _, e := range events {
			log.LogAttrs(ctx, slog.LevelInfo, "event", slog.Any("event", e))
		}
		return len(events), nil
	}}
}

// Stream is the sink that appends events to a stream: each is an entry with its
// kind, and the event as JSON.
func Stream(name string, add func(ctx context.Context, stream string, fields map[string]string) error) Sink {
	return Sink{Name: "stream", Send: func(ctx context.Context, events []Event) (int, error) {
		for i, e := range events {
			form, err := json.Marshal(e)
			if err == nil {
				err = add(ctx, name, map[string]string{"kind": string(e.Kind), "event": string(form)})
			}
			if err != nil {
				return i, err
			}
		}
		return len(events), nil
	}}
}
