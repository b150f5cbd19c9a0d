package sqlite

import (
	"context"

	"github.com/konlog/konlog/store"
)

var _ store.HeadRestorer = (*Log)(nil)

// RestoreHead implements store.HeadRestorer.
func (l *Log) RestoreHead(ctx context.Context, id string, head int64) (s store.Session, err error) {
	err = l.queue.do(ctx, 0, 0, func(t *txn) error {
		c, err := t.session(id)
		if err != nil {
			return err
		}
		if !c.exists {
			return store.ErrNotFound
		}
		changed, err := c.state.RaiseHead(head)
		if changed {
			c.touched, t.written = true, true
		}
		s = c.state
		return err
	})
	return s, err
}
