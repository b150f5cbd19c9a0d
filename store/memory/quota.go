package memory

import (
	"context"

	"github.com/konlog/konlog/store"
)

var _ store.UsageReporter = (*Log)(nil)

// Used implements store.UsageReporter.
func (l *Log) Used(ctx context.Context, scope string) (used store.Used, err error) {
	err = l.look(ctx, func() error {
		used = l.used(scope)
		return nil
	})
	return used, err
}

// used adds up what there is.
func (l *Log) used(scope string) (used store.Used) {
	for id, s := range l.sessions {
		if store.OwnSession(id) {
			continue
		}
		used.All.Sessions++
		used.All.Bytes += s.Bytes
		if s.Scope == scope {
			used.Scope.Sessions++
			used.Scope.Bytes += s.Bytes
		}
	}
	for _, b := range l.blobs {
		used.BlobBytes += b.Bytes
	}
	return used
}

// room holds the drafts that are new against the quotas.
func (l *Log) room(s *session, drafts []store.Draft, news []int) error {
	fresh := make([]store.Draft, len(news))
	for n, i := range news {
		fresh[n] = drafts[i]
	}
	return l.o.Quotas.Append(&s.Session, s.order == 0, l.used(s.Scope), fresh)
}
