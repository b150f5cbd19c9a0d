package stream

import "sync"

// outboxKeepMax is the largest buffer that goes back to the pool: a rare huge
// event must not stay in memory for ever.
const outboxKeepMax = 1 << 20

// buffers are shared by all connections: one that is idle holds none.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 4<<10)
	return &b
}}

// outbox collects a batch until it is written.
type outbox struct {
	buf    []byte
	pooled *[]byte // where buf came from; nil while the outbox is empty
	events int
}

// open makes buf ready to be appended to.
func (o *outbox) open() {
	if o.pooled == nil {
		o.pooled = buffers.Get().(*[]byte)
		o.buf = (*o.pooled)[:0]
	}
}

// size is what waits to be written, in bytes.
func (o *outbox) size() int { return len(o.buf) }

// clear gives the buffer back and returns how many events were in it.
func (o *outbox) clear() (events int) {
	if o.pooled != nil {
		if cap(o.buf) <= outboxKeepMax {
			*o.pooled = o.buf[:0]
			buffers.Put(o.pooled)
		}
		o.buf, o.pooled = nil, nil
	}
	events, o.events = o.events, 0
	return events
}
