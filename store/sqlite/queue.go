package sqlite

import (
	"context"
	"sync"
	"time"

	"github.com/konlog/konlog/store"
)

// op is one request to the writer. Its apply runs inside a transaction with
// others; a refusal (*store.Error) must leave the transaction untouched, any
// other error fails the whole transaction.
type op struct {
	apply  func(*txn) error
	size   int64 // bytes of events that it carries
	events int
	queued time.Time
	stages *store.Stages // or nil
	err    error
	done   chan struct{} // capacity 1, so that the writer never waits for a caller
	home   *sync.Pool    // where it goes when its caller has the answer
}

// queue holds the requests that wait for the writer, bounded by their number
// and bytes.
type queue struct {
	mu       sync.Mutex // guards what follows
	ops      []*op
	bytes    int64
	closed   bool
	opsMax   int
	bytesMax int64

	wake chan struct{} // capacity 1: there is something to do
	free sync.Pool     // of *op
}

func (q *queue) init(opsMax int, bytesMax int64) {
	q.opsMax, q.bytesMax = opsMax, bytesMax
	q.wake = make(chan struct{}, 1)
}

// do hands apply to the writer and waits for its transaction to be durable.
func (q *queue) do(ctx context.Context, events int, size int64, apply func(*txn) error) error {
	o, err := q.submit(ctx, events, size, nil, apply)
	if err != nil {
		return err
	}
	return o.wait()
}

// submit hands apply to the writer. From the moment it is queued its outcome
// no longer depends on ctx.
func (q *queue) submit(ctx context.Context, events int, size int64, stages *store.Stages, apply func(*txn) error) (*op, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o, ok := q.free.Get().(*op)
	if !ok {
		o = &op{done: make(chan struct{}, 1), home: &q.free}
	}
	o.apply, o.size, o.events, o.err = apply, size, events, nil
	o.queued, o.stages = time.Now(), stages
	return o, q.put(o)
}

// wait returns when the transaction of o is durable or refused. It is called
// once: o is used again afterwards.
func (o *op) wait() error {
	<-o.done
	err := o.err
	o.apply, o.stages, o.err = nil, nil, nil
	o.home.Put(o)
	return err
}

func (q *queue) put(o *op) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return store.ErrShutdown
	}
	// One request is always taken, so that the bound refuses no size for ever.
	if len(q.ops) >= q.opsMax || len(q.ops) > 0 && q.bytes+o.size > q.bytesMax {
		return store.ErrQueueFull
	}
	q.ops = append(q.ops, o)
	q.bytes += o.size
	if len(q.ops) == 1 {
		q.signal()
	}
	return nil
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take moves the oldest requests into batch, up to the bounds of one
// transaction. open is false when the queue is closed and empty.
func (q *queue) take(batch []*op) (_ []*op, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	events, bytes, n := 0, int64(0), 0
	for ; n < len(q.ops); n++ {
		o := q.ops[n]
		if n > 0 && (events+o.events > txnEventsMax || bytes+o.size > txnBytesMax) {
			break
		}
		events += o.events
		bytes += o.size
		batch = append(batch, o)
	}
	q.bytes -= bytes
	rest := copy(q.ops, q.ops[n:])
	clear(q.ops[rest:])
	q.ops = q.ops[:rest]
	if rest > 0 || q.closed && n > 0 { // the writer must come again, if only to learn that this was all
		q.signal()
	}
	return batch, !q.closed || len(batch) > 0
}

// close refuses further requests and reports whether it was the first to.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := !q.closed
	q.closed = true
	q.signal()
	return first
}

func (q *queue) depth() (int, int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ops), q.bytes
}

// sizeOf is how many bytes of events a batch carries.
func sizeOf(batch []*op) (size int64) {
	for _, o := range batch {
		size += o.size
	}
	return size
}
