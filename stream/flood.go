package stream

import (
	"context"
	"encoding/binary"
)

// ClientLimits slows down and bounds one client of a WebSocket. Its methods
// are called by the connection's own goroutines.
type ClientLimits interface {
	// Received is told of what the client sent, before it is looked at, and
	// waits as long as the client has to. It returns when ctx ends.
	Received(ctx context.Context, frames, bytes int)
	// Asked is the same for one command that is no append, and for a change
	// of the subscriptions, each of which reads the log.
	Asked(ctx context.Context)
	// Subscribed takes a place for one session on one connection; leave gives
	// it back.
	Subscribed() (leave func(), err error)
}

// frameCounter counts the frames in a client's bytes: whatever is sent, be it
// messages, fragments or pings, costs at least the work of a frame. It knows no
// more than where the next one begins.
type frameCounter struct {
	head [14]byte // of the frame whose header has begun
	have int      // bytes of it
	skip uint64   // bytes of the payload that are still to come
}

// count returns how many frames begin in p.
func (f *frameCounter) count(p []byte) (frames int) {
	for len(p) > 0 {
		if f.skip > 0 {
			n := min(f.skip, uint64(len(p)))
			p, f.skip = p[n:], f.skip-n
			continue
		}
		f.head[f.have] = p[0]
		f.have++
		p = p[1:]
		if f.have == 1 {
			frames++
		}
		if f.have >= 2 && f.have == f.size() {
			f.skip, f.have = f.payload(), 0
		}
	}
	return frames
}

// size is the length of the header, as its second byte says it.
func (f *frameCounter) size() int {
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4 // the mask
	}
	return n
}

func (f *frameCounter) payload() uint64 {
	switch n := f.head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(n)
	}
}
