package capacity

import "context"

// Healthy asks an Envoy as a controller does.
func Healthy(ctx context.Context, admin, cluster string) (int64, error) {
	client := newClient()
	defer client.CloseIdleConnections()
	return healthy(ctx, client, admin, cluster)
}
