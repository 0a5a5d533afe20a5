package service

import (
	"bytes"
	"context"
	"testing"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Whatever arrives, it ends in an answer or a status: a panic would fail here.
func FuzzShouldRateLimit(f *testing.F) {
	for _, value := range []string{"u", "a\xffb"} {
		for _, domain := range []string{"d", "unknown"} {
			r := everyField("@@@")
			r.Domain = domain
			for _, text := range []string{"pool=backend,api=c", "user=u", "free=x"} {
				r.Descriptors = append(r.Descriptors, descriptor(text))
			}
			wire, err := proto.Marshal(r)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(bytes.Replace(wire, []byte("@@@"), append([]byte(value), "@@@"[min(3, len(value)):]...), 1))
		}
	}
	w := newWorld(f, weighted)
	f.Fuzz(func(t *testing.T, wire []byte) {
		r, err := unmarshal(wire)
		if err != nil {
			return
		}
		answer, err := w.ShouldRateLimit(context.Background(), r)
		if err != nil {
			if _, isStatus := status.FromError(err); !isStatus {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		if _, err := proto.Marshal(answer); err != nil {
			t.Fatalf("the answer cannot be sent: %v", err)
		}
		if n := len(answer.Statuses); n != 0 && n != len(r.Descriptors) {
			t.Fatalf("%d statuses for %d descriptors", n, len(r.Descriptors))
		}
	})
}
