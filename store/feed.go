package store

import "strconv"

// FeedDraft returns what the feed says of an event of a session: enough for a
// list or a badge, and where to read the rest. ok is false for the many events
// that the feed does not have.
func FeedDraft(e *Event) (d Draft, ok bool) {
	if OwnSession(e.Session) {
		return d, false
	}
	f := feedEntry{data: []byte(`{"session":"` + e.Session + `","id":` + strconv.FormatInt(e.ID, 10))}
	switch e.Type {
	case TypePrompt:
		f.copy(e, "source", "text")
	case TypeTurnStart:
		f.copy(e, "agent", "prompt")
	case TypeTurnEnd:
		f.copy(e, "success", "reason", "error")
	case TypePermissionRequest:
		f.copy(e, "requestId", "tool")
	case TypePermissionResponse:
		f.copy(e, "requestId", "allow", "by")
	case TypeKontaskCreated, TypeKontaskReady, TypeKontaskUpdated, TypeKontaskChosen:
		f.text("kontaskId", e.KontaskID())
		f.copy(e, "status", "title", "description", "requestId", "scope", "targetUser", "choice")
	case TypeSessionClosed:
	default:
		return d, false
	}
	return f.draft(e.Type, e.Turn), true
}

// FeedSessionDraft says in the feed that a session was created, changed or deleted.
func FeedSessionDraft(typ string, s *Session) Draft {
	f := feedEntry{data: []byte(`{"session":"` + s.ID + `","id":` + strconv.FormatInt(s.Head, 10))}
	if typ != TypeSessionDeleted {
		f.text("title", s.Title)
		f.text("scope", s.Scope)
		f.data = append(f.data, `,"tags":[`...)
		for i, tag := range s.Tags {
			if i > 0 {
				f.data = append(f.data, ',')
			}
			f.data = appendString(f.data, tag)
		}
		f.data = append(f.data, ']')
	}
	return f.draft(typ, "")
}

// FeedSeenDraft says in the feed how far a subject has seen a session, so that
// its other devices learn of it.
func FeedSeenDraft(subject, session string, id int64) Draft {
	f := feedEntry{data: []byte(`{"session":"` + session + `","id":` + strconv.FormatInt(id, 10))}
	f.text("subject", subject)
	return f.draft(TypeSeen, "")
}

// feedEntry is the data of a feed event in the making.
type feedEntry struct{ data []byte }

// copy takes over members of the event, in the given order. Long ones stay
// behind: the feed is read by everybody, all the time.
func (f *feedEntry) copy(e *Event, names ...string) {
	for _, name := range names {
		value := e.Field(name)
		if len(value) == 0 || string(value) == "null" {
			continue
		}
		if value[0] == '"' {
			f.text(name, e.Text(name))
			continue
		}
		if len(value) <= feedTextMax {
			f.data = append(append(appendString(append(f.data, ','), name), ':'), value...)
		}
	}
}

// feedTextMax bounds one member of a feed event, in bytes.
const feedTextMax = 512

func (f *feedEntry) text(name, value string) {
	if value == "" {
		return
	}
	f.data = append(appendString(append(f.data, ','), name), ':')
	f.data = appendString(f.data, cutText(value, feedTextMax))
}

func (f *feedEntry) draft(typ, turn string) Draft {
	return Draft{Type: typ, Turn: turn, Data: append(f.data, '}')}
}
