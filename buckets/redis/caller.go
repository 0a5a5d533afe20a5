package redis

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"
)

// caller is a client that heeds what the error of a call says of the calls after it.
type caller struct {
	Client
	way   *dialer     // to the servers, nil: it is not known
	whole atomic.Bool // digests are forbidden to this user: scripts are sent whole
}

// Process sends one command.
func (c *caller) Process(ctx context.Context, cmd goredis.Cmder) error {
	err := c.Client.Process(ctx, cmd)
	c.heed(ctx, err)
	return err
}

func (c *caller) heed(ctx context.Context, err error) {
	if err == nil {
		return
	}
	if digestForbidden(err) {
		c.whole.Store(true)
	}
	if goredis.IsMasterDownError(err) && c.way != nil {
		c.way.leave()
	}
	// Of its own accord the client asks after a minute who has the slots of a node that is gone.
	if cluster, is := c.Client.(interface{ ReloadState(ctx context.Context) }); is && misdirected(err) {
		cluster.ReloadState(ctx)
	}
}

// misdirected tells that a node of a Cluster may not be the master any more: it does not
// answer, or says so.
func misdirected(err error) bool {
	var answered goredis.Error
	return !errors.As(err, &answered) || goredis.IsReadOnlyError(err) || goredis.IsMasterDownError(err) || goredis.IsClusterDownError(err)
}

// digestRefused tells that a server refused to call a script by its digest, before
// anything has run: it does not know it, because it was restarted or its scripts were
// flushed, or the user may not. These refusals alone are answered with a second call.
func digestRefused(err error) bool {
	return goredis.HasErrorPrefix(err, "NOSCRIPT") || digestForbidden(err) // the texts differ between Redis and Valkey
}

// digestForbidden tells that the user may not use EVALSHA. A NOPERM that names another
// command may be of one that a script has run.
func digestForbidden(err error) bool {
	return goredis.IsPermissionError(err) && strings.Contains(err.Error(), "run the 'evalsha' command")
}
