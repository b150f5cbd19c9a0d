package store

import (
	"context"
	"encoding/json"
	"strconv"
	"time"
)

// Searcher is the ability to find the documents of all sessions (see Doc) by
// their words.
type Searcher interface {
	// Search returns a page of hits, those that became searchable last first.
	// An engine may make events searchable a moment after their append has
	// returned, and then says so with SearchPage.Partial only when it is more
	// than a moment. Documents of deleted sessions, and of events below the
	// floor or redacted, are never returned. The work of one call is bounded:
	// a page may hold fewer hits than asked for, or none, and still have a
	// Next. ErrNotFound when the filter names a session that does not exist.
	Search(ctx context.Context, f SearchFilter) (SearchPage, error)
}

// SearchFilter selects documents; empty fields but Query select all.
type SearchFilter struct {
	Query   string // as ParseSearch takes it
	Session string
	Kind    string    // one of DocKinds
	Since   time.Time // of events at or after
	Until   time.Time // or before
	Cursor  string    // SearchPage.Next of the page before
	Limit   int       // 0 means SearchPageDefault; at most SearchPageMax
	Visible Patterns  // only of these sessions; nil is all, empty none. What others have shows in no page, count or cursor
}

// The bounds of a page of hits. Each hit's text is read anew for its snippet.
const (
	SearchPageDefault = 20
	SearchPageMax     = 100
)

// Hit is a document that has what was asked for.
type Hit struct {
	Session string     `json:"session"`
	ID      int64      `json:"id"` // of the event to show; of a block that came in deltas, the last one
	Turn    string     `json:"turn,omitempty"`
	Kind    string     `json:"kind"`
	Time    time.Time  `json:"time"` // of that event
	Snippet []Fragment `json:"snippet"`
}

// MarshalJSON writes the hit as it stands on the wire, with the time as all
// times there.
func (h Hit) MarshalJSON() ([]byte, error) {
	type plain Hit // without this method
	return json.Marshal(struct {
		plain
		Time string `json:"time"`
	}{plain(h), h.Time.UTC().Format(TimeLayout)})
}

// Fragment is a part of a snippet. It is text of agents and users: nothing of
// it is safe to be taken for HTML.
type Fragment struct {
	Text string `json:"text"`
	Hit  bool   `json:"hit,omitempty"` // it is what the query asked for
}

// SearchPage is a page of hits. Next is "" on the last one.
type SearchPage struct {
	Hits    []Hit  `json:"hits"`
	Next    string `json:"next,omitempty"`
	Partial bool   `json:"partial,omitempty"` // many events are not searchable yet, such as after an upgrade
}

// The kinds of documents.
const (
	DocPrompt  = "prompt"
	DocText    = "text"
	DocTool    = "tool"    // the name of a tool that was called and the strings of its input
	DocOutput  = "output"  // of a tool
	DocKontask = "kontask" // title, description and output
	DocError   = "error"
)

// DocKinds lists them.
var DocKinds = []string{DocPrompt, DocText, DocTool, DocOutput, DocKontask, DocError}

// Check refuses what no engine takes, and returns the parsed query, the number
// that the cursor stands for (0 without one) and the limit in force.
func (f *SearchFilter) Check() (q *SearchQuery, before int64, limit int, err error) {
	if q, err = ParseSearch(f.Query); err != nil {
		return nil, 0, 0, err
	}
	if f.Session != "" {
		if err := ValidSessionID(f.Session); err != nil {
			return nil, 0, 0, err
		}
	}
	known := f.Kind == ""
	for _, kind := range DocKinds {
		known = known || f.Kind == kind
	}
	if !known {
		return nil, 0, 0, Errorf(CodeInvalidQuery, "kind %.40q: use prompt, text, tool, output, kontask or error", f.Kind)
	}
	if f.Cursor != "" {
		before, err = strconv.ParseInt(f.Cursor, 10, 64)
		if err != nil || before < 1 || strconv.FormatInt(before, 10) != f.Cursor {
			return nil, 0, 0, Errorf(CodeInvalidQuery, "cursor %.40q is not one that a page of hits gave", f.Cursor)
		}
	}
	if limit = f.Limit; limit <= 0 {
		limit = SearchPageDefault
	}
	return q, before, min(limit, SearchPageMax), nil
}

// Covers reports whether an event of that time is within the filter's times.
func (f *SearchFilter) Covers(at time.Time) bool {
	return (f.Since.IsZero() || !at.Before(f.Since)) && (f.Until.IsZero() || at.Before(f.Until))
}
