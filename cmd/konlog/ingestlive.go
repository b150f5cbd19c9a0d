package main

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/client"
)

// outlive returns a context that ends a while after ctx does.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel(context.Cause(ctx))
		case <-work.Done():
		}
	})
	return work, func() {
		stop()
		cancel(context.Canceled)
	}
}

// untilDone reads until ctx ends, and then says so; or, with end, that.
type untilDone struct {
	ctx context.Context
	r   io.Reader
	end error // or nil
}

func (u *untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() == nil {
		n, err := u.r.Read(p)
		if err == nil || err == io.EOF || u.ctx.Err() == nil || n > 0 {
			return n, err
		}
	}
	if u.end != nil {
		return 0, u.end
	}
	return 0, context.Cause(u.ctx)
}

// leaseKeeper renews the lease of the stream's open turn while the stream is
// silent: as long as somebody waits for its next line, the turn is not abandoned.
type leaseKeeper struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when its goroutine has ended

	mu   sync.Mutex // guards turn
	turn string     // the open one, or ""
}

// leaseEvery leaves a server time to be away for a while.
const leaseEvery = agent.IngestLease / 5

func keepLease(ctx context.Context, cl *client.Client, session string) *leaseKeeper {
	ctx, cancel := context.WithCancel(ctx)
	k := &leaseKeeper{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(k.done)
		tick := time.NewTicker(leaseEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			k.mu.Lock()
			turn := k.turn
			k.mu.Unlock()
			if turn != "" {
				_, _ = cl.TouchTurn(ctx, session, turn) // a turn that is over by now needs none
			}
		}
	}()
	return k
}

func (k *leaseKeeper) turned(turn string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.turn = turn
}

// stop ends it and waits until it has ended.
func (k *leaseKeeper) stop() {
	k.cancel()
	<-k.done
}
