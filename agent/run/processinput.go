package run

import (
	"os"
	"sync"
)

// processInput gives a process its standard input from a queue.
type processInput struct {
	f    *os.File
	wake chan struct{} // capacity 1: there is something to do
	done chan struct{}

	mu     sync.Mutex // guards what follows
	queue  [][]byte
	bytes  int  // of the queue, and of what is being written
	ended  bool // nothing is added any more
	broken bool // nobody reads it
}

func newProcessInput(f *os.File) *processInput {
	in := &processInput{f: f, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go in.feed()
	return in
}

func (in *processInput) add(b []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended || in.broken || len(b) == 0 {
		return nil
	}
	if in.bytes+len(b) > inputBytesMax {
		return ErrInputFull
	}
	in.queue = append(in.queue, append([]byte(nil), b...))
	in.bytes += len(b)
	in.rouse()
	return nil
}

func (in *processInput) end() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = true
	in.rouse()
}

func (in *processInput) rouse() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// stop ends the input at once, also in the middle of a write.
func (in *processInput) stop() {
	in.mu.Lock()
	in.ended, in.broken, in.queue = true, true, nil
	in.rouse()
	in.mu.Unlock()
	_ = in.f.Close()
	<-in.done
}

func (in *processInput) feed() {
	defer close(in.done)
	defer func() { _ = in.f.Close() }()
	for {
		b, over := in.next()
		if over {
			return
		}
		if b == nil {
			<-in.wake
			continue
		}
		_, err := in.f.Write(b)
		in.mu.Lock()
		in.bytes -= len(b)
		if err != nil {
			in.broken, in.queue, in.bytes = true, nil, 0
		}
		in.mu.Unlock()
	}
}

// next takes the first of the queue. over is true when nothing can come.
func (in *processInput) next() (b []byte, over bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.broken || len(in.queue) == 0 {
		return nil, in.broken || in.ended
	}
	b, in.queue[0] = in.queue[0], nil
	in.queue = in.queue[1:]
	return b, false
}
