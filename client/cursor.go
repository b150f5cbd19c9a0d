package client

import (
	"errors"
	"fmt"
)

// errHole is the guard's: events are missing and no gap frame said so.
var errHole = errors.New("events are missing and nothing was said of them")

// errFrame marks what a server of this protocol does not send.
var errFrame = fmt.Errorf("not a frame of this protocol: %w", ErrUnreadable)

// cursor guards the order of a session's events: whatever a server or what is
// between sends, nothing passes twice, out of order or after a silent hole.
type cursor struct {
	after  int64  // id of the last event that passed
	epoch  string // of the history that after belongs to, or "" before the first hello
	floor  int64  // as of the last hello: below it events are known to be gone
	sparse bool   // a filter makes holes
}

// admit reports whether the event with this id is the next one. It returns the
// gap that stands before it, if that is known to be gone.
func (c *cursor) admit(id int64) (pass bool, gap *Gap, err error) {
	if id <= c.after {
		return false, nil, nil // sent again
	}
	gap, err = c.reach(id - 1)
	if err != nil {
		return false, nil, fmt.Errorf("event %d after %d: %w", id, c.after, err)
	}
	c.after = id
	return true, gap, nil
}

// reach moves the cursor to id when no event up to it is left out.
func (c *cursor) reach(id int64) (*Gap, error) {
	if id <= c.after {
		return nil, nil
	}
	var gap *Gap
	if !c.sparse {
		if id >= c.floor {
			return nil, errHole
		}
		gap = &Gap{From: c.after + 1, To: id, Reason: "retention"}
	}
	c.after = id
	return gap, nil
}

// skip passes over a gap that the server announced.
func (c *cursor) skip(from, to int64) error {
	if from > c.after+1 && !c.sparse {
		return fmt.Errorf("gap %d to %d after %d: %w", from, to, c.after, errHole)
	}
	c.after = max(c.after, to)
	return nil
}

// restart begins another history.
func (c *cursor) restart(epoch string) {
	c.after, c.epoch = 0, epoch
}
