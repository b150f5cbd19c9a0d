package memory

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/konlog/konlog/store"
)

var _ store.Searcher = (*Log)(nil)

// index is what Search has made of each session's log, by its epoch.
type index struct {
	sessions map[string]*indexed
	arrivals int64
}

// indexed is one session, as far as Search has come.
type indexed struct {
	extractor *store.Extractor
	done      int64
	docs      []indexedDoc
}

type indexedDoc struct {
	store.Doc
	place int64
	words string // with a space on both ends
}

// catchUp goes through the events that came since. What was redacted meanwhile
// is forgotten as if it had never been read.
func (l *Log) catchUp(s *session) *indexed {
	if l.index.sessions == nil {
		l.index.sessions = map[string]*indexed{}
	}
	x := l.index.sessions[s.Epoch]
	if x == nil {
		x = &indexed{extractor: &store.Extractor{}}
		l.index.sessions[s.Epoch] = x
	}
	for i := range s.events {
		e := &s.events[i]
		if e.Redacted() {
			x.extractor.Forget(e.ID, e.ID)
			x.docs = slices.DeleteFunc(x.docs, func(d indexedDoc) bool { return d.First <= e.ID && e.ID <= d.ID })
		}
		if e.ID <= x.done {
			continue
		}
		for _, d := range x.extractor.Add(e) {
			l.index.arrivals++
			x.docs = append(x.docs, indexedDoc{d, l.index.arrivals, " " + store.Words(d.Text) + " "})
		}
		x.done = e.ID
	}
	x.docs = slices.DeleteFunc(x.docs, func(d indexedDoc) bool { return d.ID < s.Floor })
	return x
}

// Search implements store.Searcher. A term is a part of the text of words.
func (l *Log) Search(ctx context.Context, f store.SearchFilter) (page store.SearchPage, err error) {
	q, before, limit, err := f.Check()
	if err != nil {
		return page, err
	}
	err = l.look(ctx, func() error {
		if f.Session != "" && (l.sessions[f.Session] == nil || !store.Shows(f.Visible, f.Session)) {
			return store.ErrNotFound
		}
		type found struct {
			session string
			indexedDoc
		}
		var all []found
		for _, s := range l.oldestFirst() {
			x := l.catchUp(s)
			if f.Session != "" && f.Session != s.ID || !store.Shows(f.Visible, s.ID) {
				continue
			}
			for _, d := range x.docs {
				if (before == 0 || d.place < before) && (f.Kind == "" || f.Kind == d.Kind) && f.Covers(d.Time) && has(q, d.words) {
					all = append(all, found{s.ID, d})
				}
			}
		}
		slices.SortFunc(all, func(a, b found) int { return cmp.Compare(b.place, a.place) })
		if len(all) > limit {
			all = all[:limit]
			page.Next = strconv.FormatInt(all[limit-1].place, 10)
		}
		for _, d := range all {
			page.Hits = append(page.Hits, store.Hit{Session: d.session, ID: d.ID, Turn: d.Turn, Kind: d.Kind, Time: d.Time, Snippet: q.Snippet(d.Text)})
		}
		return nil
	})
	return page, err
}

func (l *Log) oldestFirst() (all []*session) {
	for _, s := range l.sessions {
		if !store.OwnSession(s.ID) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *session) int { return cmp.Compare(a.order, b.order) })
	return all
}

// has reports whether a document with these words is one that q asks for.
func has(q *store.SearchQuery, words string) bool {
	for _, t := range q.Terms {
		term := " " + strings.Join(t.Words, " ")
		if !t.Prefix {
			term += " "
		}
		if strings.Contains(words, term) == t.Not {
			return false
		}
	}
	return true
}

// said reports whether a turn has a document that the query asks for. It holds
// what ListTurns is asked for with a Query.
func (l *Log) said(q *store.SearchQuery, t *store.Turn) bool {
	return slices.ContainsFunc(l.catchUp(l.sessions[t.Session]).docs, func(d indexedDoc) bool { return d.Turn == t.ID && has(q, d.words) })
}
