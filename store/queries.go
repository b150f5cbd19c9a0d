package store

import (
	"context"
	"time"
)

// Turns is what an engine knows of turns.
type Turns interface {
	// Turn returns one turn, up to the session's head: an open one with what
	// came of it so far. ErrNotFound for the session, ErrTurnNotFound.
	Turn(ctx context.Context, session, turn string) (*Turn, error)
	// ListTurns returns a page, newest first. Turns in a list are
	// brief (Turn.Brief), and an open one is as it was when it began.
	ListTurns(ctx context.Context, f TurnFilter) (TurnPage, error)
}

// TurnFilter selects turns; empty fields select all.
type TurnFilter struct {
	Session string
	State   TurnState
	Tool    string    // one that the turn has called, by name
	Since   time.Time // that began, or were asked for, at or after
	Until   time.Time // or before
	Query   string    // full text, as Searcher takes it
	Cursor  string    // TurnPage.Next of the page before
	Limit   int       // 0 means TurnsPageDefault; at most TurnsPageMax
	Visible Patterns  // only of these sessions; nil is all, empty none
}

// The bounds of a page of turns, and of kontasks.
const (
	TurnsPageDefault = 50
	TurnsPageMax     = 500
)

// TurnPage is a page of turns. Next is "" on the last one.
type TurnPage struct {
	Turns []*Turn
	Next  string
}

// Kontasks is what an engine knows of kontasks.
type Kontasks interface {
	// Kontask returns one, or ErrNoKontask.
	Kontask(ctx context.Context, id string) (Kontask, error)
	// ListKontasks returns a page, the one that changed last first.
	ListKontasks(ctx context.Context, f KontaskFilter) (KontaskPage, error)
}

// KontaskFilter selects kontasks; empty fields select all.
type KontaskFilter struct {
	Session    string
	Status     string
	Scope      string
	Tag        string
	TargetUser string
	RequestID  string
	Open       bool     // ready, and nothing chosen yet
	Cursor     string   // KontaskPage.Next of the page before
	Limit      int      // 0 means TurnsPageDefault; at most TurnsPageMax
	Visible    Patterns // only of these sessions; nil is all, empty none
}

// KontaskPage is a page of kontasks. Next is "" on the last one.
type KontaskPage struct {
	Kontasks []Kontask
	Next     string
}

// Questions is what an engine knows of questions.
type Questions interface {
	// Answer returns the ids of the events that asked and answered a
	// question; 0 when it was not. ErrNotFound when there is no such session.
	Answer(ctx context.Context, session, requestID string) (asked, answered int64, err error)
}

// Marks is the ability to keep how far each subject has seen each session.
type Marks interface {
	// MarkSeen raises the mark and says so in the feed. A mark never falls:
	// it returns the one in force. An id beyond the head stands for the head.
	MarkSeen(ctx context.Context, subject, session string, id int64) (int64, error)
	// Seen returns the mark; 0 when nothing was seen.
	Seen(ctx context.Context, subject, session string) (int64, error)
	// Inbox returns the sessions that wait for the subject: with an open
	// question, or something notable that it has not seen. Newest activity
	// first.
	Inbox(ctx context.Context, f InboxFilter) (InboxPage, error)
}

// SubjectLocal is the subject of everybody who needs no credentials.
const SubjectLocal = "local"

// SubjectBytesMax bounds the name of a subject.
const SubjectBytesMax = 256

// InboxFilter selects a page of an inbox.
type InboxFilter struct {
	Subject string
	Cursor  string   // InboxPage.Next of the page before
	Limit   int      // 0 means SessionsPageDefault; at most SessionsPageMax
	Visible Patterns // only these sessions; nil is all, empty none
}

// InboxItem is a session that waits for a subject.
type InboxItem struct {
	Session Session
	Seen    int64
}

// InboxPage is a page of an inbox. Next is "" on the last one.
type InboxPage struct {
	Items []InboxItem
	Next  string
}

// Leaser is the ability to end turns whose producer fell silent.
type Leaser interface {
	// TouchTurn renews the lease of the open turn and returns when it ends;
	// zero when it has none. ErrTurnEnded, ErrNoTurn or ErrNotFound when there
	// is nothing to renew.
	TouchTurn(ctx context.Context, session, turn string) (deadline time.Time, err error)
	// ExpireTurns ends every open turn whose lease has passed, as abandoned.
	// It returns the next deadline; zero when no open turn has a lease.
	ExpireTurns(ctx context.Context) (ended int, next time.Time, err error)
}

// Rebuilder is the ability to make again what is derived from the log.
type Rebuilder interface {
	// Rebuild folds the session's log anew and puts the result in the place
	// of what is stored. It returns what was different. Of a log that
	// retention has cut, only what began above the floor is made again.
	Rebuild(ctx context.Context, session string) (differences []string, err error)
}
