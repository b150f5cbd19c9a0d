package api

import (
	"context"
	"net/http"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
)

// What answers show depends on who asks: whoever may change a session and not
// read it learns nothing of what is in it.

// errNameIt refuses the id that the server would give a new session.
var errNameIt = store.Because(access.CodeForbidden, access.ErrForbidden, "give the session an id that this credential may write: it may not write the one that it would get")

// nameOnly is a session, or a kontask, of which no more is shown.
type nameOnly struct {
	ID      string `json:"id"`
	Session string `json:"session,omitempty"` // of a kontask
}

// shownSession is what whoever may change or read the session is shown of it.
func shownSession(g *access.Grant, session *store.Session) any {
	if !g.MayRead(session.ID) {
		return nameOnly{ID: session.ID}
	}
	return sessionObject(g, session)
}

// sessionObject is the session as its object, for who may read it: without the
// name of a session that it was forked from and that is not to be seen.
func sessionObject(g *access.Grant, session *store.Session) store.SessionObject {
	o := session.Object()
	if o.ForkedFrom != nil && !g.MayRead(o.ForkedFrom.Session) {
		o.ForkedFrom = nil
	}
	return o
}

// shownKontask reads a kontask for whoever may see its session; for all others
// there is none.
func (s *Server) shownKontask(ctx context.Context, id string) (store.Kontask, error) {
	k, err := s.kontask(ctx, id)
	if err == nil && !grantOf(ctx).MayRead(k.Session) {
		return store.Kontask{}, store.ErrNoKontask
	}
	return k, err
}

// changedKontask reads a kontask for whoever may change its session.
func (s *Server) changedKontask(ctx context.Context, id string) (store.Kontask, error) {
	k, err := s.kontask(ctx, id)
	if err != nil {
		return k, err
	}
	err = s.mayChange(ctx, k.Session)
	if store.CodeOf(err) == store.CodeNotFound {
		err = store.ErrNoKontask // as if there were none
	}
	return k, err
}

// shownBlob describes a blob for whoever may see an event that refers to it.
func (s *Server) shownBlob(ctx context.Context, blobs store.Blobs, name string) (store.Blob, error) {
	b, err := blobs.Blob(ctx, name)
	if err != nil || grantOf(ctx).Admin {
		return b, err
	}
	shown, err := blobs.BlobShown(ctx, name, visible(ctx))
	if err == nil && !shown {
		err = store.ErrBlobNotFound
	}
	return b, err
}

// uploadedBlob is what whoever sent a blob is told of it. That the content was
// there before, and under what type, is told to whoever may see it.
func (s *Server) uploadedBlob(ctx context.Context, blobs store.Blobs, b store.Blob, created bool, contentType string) (store.Blob, int, error) {
	if created {
		return b, http.StatusCreated, nil
	}
	known, err := s.shownBlob(ctx, blobs, b.SHA256)
	switch store.CodeOf(err) {
	case "":
		return known, http.StatusOK, err
	case store.CodeBlobNotFound:
		b.ContentType = store.BlobType(contentType)
		return b, http.StatusCreated, nil
	}
	return b, 0, err
}
