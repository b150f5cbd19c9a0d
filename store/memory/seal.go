package memory

import (
	"context"

	"github.com/konlog/konlog/store"
)

var _ store.Sealer = (*Log)(nil)

// Seals implements store.Sealer. Nothing is kept: the chain is computed when it
// is asked for, from the events that are there. What was redacted is the one
// thing that this cannot prove.
func (l *Log) Seals(ctx context.Context, id string, after int64, limit int) (page store.SealPage, err error) {
	if limit <= 0 {
		limit = store.SealsPageDefault
	}
	limit = min(limit, store.SealsPageMax)
	err = l.look(ctx, func() error {
		s := l.sessions[id]
		if s == nil {
			return store.ErrNotFound
		}
		page.Session = s.view()
		var chain store.Chain
		first := s.Floor
		for i := range s.events {
			e := &s.events[i]
			chain.Add(e.Leaf())
			if e.Type != store.TypeTurnEnd && e.Type != store.TypeSessionClosed && e.ID%store.SealEventsMax != 0 {
				continue
			}
			if e.ID > after && len(page.Seals) == limit {
				page.Next = page.Seals[limit-1].Last
				break
			}
			if e.ID > after {
				page.Seals = append(page.Seals, store.Seal{First: first, Last: e.ID, Hash: chain.Hash, SealedAt: e.Time})
			}
			first = e.ID + 1
		}
		return nil
	})
	return page, err
}
