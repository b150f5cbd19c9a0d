package run

import (
	"context"
	"fmt"
	"slices"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/store"
)

// mendsMax bounds how often one draft is given another form. Far fewer are
// enough, but for a turn that the server gives up again and again.
const mendsMax = 1000

// eventBytesMin is the least limit of an event for which forms are sought.
const eventBytesMin = agent.FitBytesMin

// batch returns what is sent next: all that has arrived, within the bounds.
// While a refused draft is looked for, half of those that it may be among.
func (s *Sender) batch(ctx context.Context) ([]*item, error) {
	size := int64(0)
	for _, it := range s.pending {
		size += it.bytes
	}
	for len(s.pending) < sendEventsMax && size < sendBytesMax {
		d, ok, err := s.in.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		size += d.bytes
		s.pending = append(s.pending, &item{spooled: d})
	}
	most := sendEventsMax
	if s.suspect > 0 {
		most = max(s.suspect/2, 1)
	}
	barrier, sum := s.barrier(), 0
	for n, it := range s.pending {
		// What has to go into a blob first does not hold up what is before it.
		if n == most || it.index >= barrier || n > 0 && !it.built && it.draft.Size() > s.c.EventBytes {
			return s.pending[:n], nil
		}
		if err := s.build(ctx, it); err != nil {
			return nil, err
		}
		if sum += it.out.Size(); sum > sendBytesMax && n > 0 {
			return s.pending[:n], nil
		}
	}
	return s.pending, nil
}

// send appends items that are built.
func (s *Sender) send(ctx context.Context, items []*item) error {
	drafts := make([]store.Draft, len(items))
	for i, it := range items {
		drafts[i] = it.out
	}
	_, err := s.line.deliver(ctx, drafts)
	switch {
	case err == nil:
		s.sent(len(items))
		return nil
	case !refuses(err):
		return err
	case len(items) > 1:
		s.suspect = len(items)
		return nil
	}
	s.suspect = 1
	return s.mend(ctx, items[0], err)
}

// sent notes that the log has the first n pending drafts.
func (s *Sender) sent(n int) {
	for _, it := range s.pending[:n] {
		s.saw([]store.Draft{it.out})
	}
	s.spoiled(s.c.Spool.ack(&s.pending[n-1].spooled))
	s.pending = slices.Delete(s.pending, 0, n)
	s.suspect = max(s.suspect-n, 0)
}

// spoiled says that the spool's own notes could not be written. Without them
// more is sent again after a crash, and nothing is lost.
func (s *Sender) spoiled(err error) {
	if err != nil && !s.broken {
		s.broken = true
		s.log.Error("the spool cannot keep how far it was sent; mend its disk", "err", err)
	}
}

// mend gives a draft that the log refuses another form. It is tried with the
// next batch.
func (s *Sender) mend(ctx context.Context, it *item, refusal error) error {
	if it.mends++; it.mends > mendsMax {
		return fmt.Errorf("event %q is refused in every form: %w", it.draft.Key, refusal)
	}
	it.built = false
	typ := it.out.Type
	switch code := store.CodeOf(refusal); {
	case code == store.CodeEventTooLarge || code == store.CodeBatchTooLarge || code == codeRequestTooLarge:
		return s.shrink(it, refusal)
	case code == store.CodeKeyConflict:
		return s.conflict(ctx, it, refusal)
	case code == store.CodeTurnEnded && it.place != "":
		return s.turnEnded(ctx, it, refusal)
	case code == store.CodeTurnOpen && typ == store.TypeTurnStart && it.place != "":
		s.settle(it.place, "")
		s.log.Warn("another turn is open; the turn that the agent began by itself is kept without one", "turn", it.place)
		return nil
	}
	return s.demote(it, refusal)
}

// demote takes from a draft what the log may refuse.
func (s *Sender) demote(it *item, refusal error) error {
	it.grade++
	if it.grade == noted && it.draft.Type == agent.TypeLine {
		it.grade++
	}
	if it.grade >= grades {
		return fmt.Errorf("event %q is refused in every form: %w", it.draft.Key, refusal)
	}
	s.log.Warn("the log refused an event; its line is kept without that meaning",
		"type", it.draft.Type, "turn", it.draft.Turn, "key", it.draft.Key, "err", refusal)
	return nil
}

// shrink lowers the limit of a draft: that of the log is less than was said. It
// is found out for each draft anew, so that the same draft always gets the same
// form.
func (s *Sender) shrink(it *item, refusal error) error {
	if it.limit == 0 {
		it.limit = s.c.EventBytes
	}
	it.limit = min(it.limit, it.out.Size()) / 2
	if it.limit < eventBytesMin {
		return fmt.Errorf("event %q: the log takes no event of %d bytes; raise its limit: %w", it.draft.Key, 2*it.limit, refusal)
	}
	return nil
}

// turnEnded places a draft whose turn has ended. The end or the beginning of a
// turn that has ended as it should is only noted; then it is no longer refused.
// Any other is refused only because the server gave the turn up, and goes into
// one that continues it.
func (s *Sender) turnEnded(ctx context.Context, it *item, refusal error) error {
	if namesTurn(it.out.Type) && it.out.Type != store.TypeStopTurn {
		return s.demote(it, refusal)
	}
	if it.draft.Type == store.TypeTurnEnd || it.draft.Type == store.TypePrompt {
		it.grade = whole
	}
	return s.goOn(ctx, it.place)
}

// conflict finds out whether the log has the draft in another form, from before
// a crash. If its key really stands for something else, it is kept as a line
// under another one.
func (s *Sender) conflict(ctx context.Context, it *item, refusal error) error {
	if it.salt == 0 {
		found, err := s.find(ctx, it)
		if err != nil {
			return err
		}
		if found {
			s.sent(1)
			return nil
		}
	}
	it.salt++
	if it.grade == whole && it.draft.Type != agent.TypeLine {
		return s.demote(it, refusal)
	}
	s.log.Warn("the key of an event stands for another one; its line is kept under another key", "key", it.draft.Key, "err", refusal)
	return nil
}

// continuesFound is how many turns that continue one a draft is looked for in.
const continuesFound = 8

// find looks for the draft in the log: under its key nothing can be appended,
// unless it is what the log has. The first form is one that may be appended, for
// a prompt is refused in the same words when its turn waits with another one.
func (s *Sender) find(ctx context.Context, it *item) (bool, error) {
	from := turnOf(&it.draft)
	places := []string{it.place}
	if from != "" {
		places = append(places, from, "")
		for to := from; len(places) < continuesFound+3; {
			to = nextTurn(to)
			places = append(places, to)
		}
	}
	tried := map[string]bool{formOf(&it.out): true}
	for _, at := range [...]grade{noted, whole, naked} {
		for _, place := range places {
			d, _, err := s.fit(ctx, shape(it.draft, at, place), it.limit)
			if err != nil {
				return false, err
			}
			d.Key = it.out.Key
			form := formOf(&d)
			if tried[form] {
				continue
			}
			tried[form] = true
			_, err = s.line.deliver(ctx, []store.Draft{d})
			switch {
			case err == nil:
				if at != naked {
					s.settle(from, place)
				}
				return true, nil
			case !refuses(err):
				return false, err
			}
		}
	}
	return false, nil
}

// formOf tells the forms of one draft from each other.
func formOf(d *store.Draft) string {
	hash := d.BodyHash()
	return string(hash[:])
}
