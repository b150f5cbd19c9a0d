package run

import (
	"context"

	"github.com/konlog/konlog/store"
)

// Log is the log as a runner needs it: that of a server, through its client,
// or the one in this process. All of it waits out short troubles by itself;
// what is no *store.Error may be tried again.
type Log interface {
	// Create makes the session if it is absent.
	Create(ctx context.Context, id string) error
	// Follow calls each with the session's events of these types after the
	// id, in order, as they come, and caughtUp once it has given those that
	// were there. It reconnects for ever, and ends with ctx, with an error of
	// each, or when the session is gone (store.ErrNotFound).
	Follow(ctx context.Context, session string, after int64, types []string, each func(store.Event) error, caughtUp func()) error
	// Producer appends to one session. A higher epoch of the same id fences off
	// the lower ones: their appends are refused with store.ErrProducerFenced.
	Producer(session, id string, epoch int64) Producer
	// Touch renews the lease of the open turn.
	Touch(ctx context.Context, session, turn string) error
	Blobs
}

// Producer appends in order, all or none of the drafts, once. After an error
// that is no *store.Error, or store.ErrStorageFailed, the outcome is unknown and
// the same drafts must be appended again before any others.
type Producer interface {
	Append(ctx context.Context, drafts ...store.Draft) (store.Appended, error)
}

// Blobs keeps what is too large for an event.
type Blobs interface {
	// PutBlob stores content of at most store.BlobBytesDefault bytes.
	PutBlob(ctx context.Context, contentType string, content []byte) (store.Blob, error)
	// ReadBlob gives it back; store.ErrBlobNotFound when it is not there.
	ReadBlob(ctx context.Context, sha256 string) ([]byte, error)
}
