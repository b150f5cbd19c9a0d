package memory

import (
	"context"

	"github.com/konlog/konlog/store"
)

var _ store.HeadRestorer = (*Log)(nil)

// RestoreHead implements store.HeadRestorer.
func (l *Log) RestoreHead(ctx context.Context, id string, head int64) (v store.Session, err error) {
	err = l.change(ctx, id, func() (int64, error) {
		s := l.sessions[id]
		if s == nil {
			return unchanged, store.ErrNotFound
		}
		changed, err := s.RaiseHead(head)
		if err != nil || !changed {
			v = s.view()
			return unchanged, err
		}
		v = s.view()
		return s.Head, nil
	})
	return v, err
}
