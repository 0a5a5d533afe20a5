package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"time"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/service"
)

// keySize is that of a receipt key of weir's own making, in bytes.
const keySize = 32

// receiptKeys are the keys of this replica: what the settings say, else one of
// its own until the replicas have agreed on one.
func receiptKeys(s config.Settings) *service.Keys {
	if s.ReceiptKey != "" {
		return service.NewKeys([]byte(s.ReceiptKey.Reveal()))
	}
	return service.NewKeys(newKey())
}

func newKey() []byte {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // it never fails
	return key
}

// shareKey keeps all replicas on one key, which lies in the shared store, so that
// each can redeem what another one issued. It asks again and again: a Redis that
// lost its data gets back the key that the fleet uses.
func (a *App) shareKey(ctx context.Context) {
	if a.store.redis == nil || a.settings.ReceiptKey != "" {
		return
	}
	key, inUse := newKey(), false
	for pause := 100 * time.Millisecond; ; {
		call, cancel := context.WithTimeout(ctx, time.Second)
		agreed, err := a.store.redis.Agree(call, "weir:receipt-key", key)
		cancel()
		switch {
		case err != nil:
			pause = min(2*pause, 5*time.Second)
		default:
			if !inUse || !bytes.Equal(agreed, key) {
				a.keys.Use(agreed)
			}
			key, inUse, pause = agreed, true, 5*time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
