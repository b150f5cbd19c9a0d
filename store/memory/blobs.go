package memory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/konlog/konlog/store"
)

// blob is content with what is known of it but its references, which are
// counted when they are asked for.
type blob struct {
	store.Blob
	content []byte
}

var _ store.Blobs = (*Log)(nil)

// PutBlob implements store.Blobs, holding the whole content in memory.
func (l *Log) PutBlob(ctx context.Context, contentType string, r io.Reader, max int64) (b store.Blob, created bool, err error) {
	if max <= 0 {
		max = store.BlobBytesDefault
	}
	content, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return b, false, fmt.Errorf("read the content: %w", err)
	}
	if int64(len(content)) > max {
		return b, false, store.BlobTooLarge(max)
	}
	sum := sha256.Sum256(content)
	id := hex.EncodeToString(sum[:])
	err = l.look(ctx, func() error {
		kept := l.blobs[id]
		if created = kept == nil; created {
			if err := l.o.Quotas.Blob(l.used("").BlobBytes, int64(len(content))); err != nil {
				return err
			}
			kept = &blob{store.Blob{SHA256: id, Bytes: int64(len(content)), ContentType: store.BlobType(contentType)}, content}
			if l.blobs == nil {
				l.blobs = map[string]*blob{}
			}
			l.blobs[id] = kept
		}
		if now := l.now(); now.After(kept.CreatedAt) {
			kept.CreatedAt = now
		}
		b = l.described(kept)
		return nil
	})
	return b, created && err == nil, err
}

// described counts the events that refer to the blob.
func (l *Log) described(kept *blob) store.Blob {
	b := kept.Blob
	for _, s := range l.sessions {
		for i := range s.events {
			if slices.Contains(store.BlobRefs(s.events[i].Data), b.SHA256) {
				b.Refs++
			}
		}
	}
	return b
}

// Blob implements store.Blobs.
func (l *Log) Blob(ctx context.Context, sha256 string) (b store.Blob, err error) {
	err = l.look(ctx, func() error {
		kept := l.blobs[sha256]
		if kept == nil {
			return store.ErrBlobNotFound
		}
		b = l.described(kept)
		return nil
	})
	return b, err
}

// BlobShown implements store.Blobs.
func (l *Log) BlobShown(ctx context.Context, sha256 string, visible store.Patterns) (shown bool, err error) {
	err = l.look(ctx, func() error {
		for id, s := range l.sessions {
			shown = shown || store.Shows(visible, id) && slices.ContainsFunc(s.events, func(e store.Event) bool {
				return slices.Contains(store.BlobRefs(e.Data), sha256)
			})
		}
		return nil
	})
	return shown, err
}

// ReadBlob implements store.Blobs.
func (l *Log) ReadBlob(ctx context.Context, sha256 string, p []byte, off int64) (n int, err error) {
	var content []byte
	err = l.look(ctx, func() error {
		kept := l.blobs[sha256]
		switch {
		case kept == nil:
			return store.ErrBlobNotFound
		case off < 0:
			return store.Errorf(store.CodeInvalidQuery, "offset %d is negative", off)
		}
		content = kept.content
		return nil
	})
	if err != nil {
		return 0, err
	}
	return bytes.NewReader(content).ReadAt(p, off)
}

// SweepBlobs implements store.Blobs.
func (l *Log) SweepBlobs(ctx context.Context, grace time.Duration) (removed int64, err error) {
	err = l.look(ctx, func() error {
		for id, kept := range l.blobs {
			if kept.CreatedAt.Before(l.now().Add(-grace)) && l.described(kept).Refs == 0 {
				delete(l.blobs, id)
				removed++
			}
		}
		return nil
	})
	return removed, err
}
