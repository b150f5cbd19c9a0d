package api

import (
	"context"

	"github.com/konlog/konlog/store"
)

// mayCreate refuses what would make one session too many of this credential in
// an hour; quota.sessions bounds how many there are in all. A session that is
// there may always go on.
func (rt *rates) mayCreate(ctx context.Context, session string) error {
	id, bound := rt.holder(ctx)
	if !bound || rt.r.SessionsPerHour <= 0 {
		return nil
	}
	if _, err := rt.log.Session(ctx, session); store.CodeOf(err) != store.CodeNotFound {
		return nil // it is there, or the append itself says what is wrong
	}
	if after := take(rt.credential.of(id)[ofSessions], 1); after > 0 {
		return rt.refuse(limitSessionsPerHour, after, codeTooManySessions, "this credential makes more than %d sessions per hour; wait, or go on in one that is there", rt.r.SessionsPerHour)
	}
	return nil
}
