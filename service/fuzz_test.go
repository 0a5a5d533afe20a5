package service

import (
	"bytes"
	"context"
	"testing"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weir-rls/weir/descriptors"
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
		var r descriptors.Request
		if decoded(wire, &r, 32) != nil {
			return
		}
		answer, err := w.callWire(context.Background(), wire)
		if err != nil {
			if _, isStatus := status.FromError(err); !isStatus {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		if n := len(answer.Statuses); n != 0 && n != len(r.Descriptors) {
			t.Fatalf("%d statuses for %d descriptors", n, len(r.Descriptors))
		}
	})
}
