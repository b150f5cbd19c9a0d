package sqlite

import (
	"context"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// Bounds of one transaction that removes blobs, so that appends wait for a few
// milliseconds at most.
const (
	blobSweepChunks = 4   // pieces: 1 MiB
	blobSweepRows   = 100 // blobs that are marked for removal
)

// referBlobs notes to which blobs an appended event refers. Nearly no event
// does, and then it costs a look through the data.
func (t *txn) referBlobs(c *change, e *store.Event) error {
	for _, ref := range store.BlobRefs(e.Data) {
		sum, _ := store.BlobHash(ref) // BlobRefs returns nothing else
		t.written = true
		if _, err := t.conn.Exec(`INSERT INTO blob_refs VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, c.no, e.ID, sum); err != nil {
			return err
		}
	}
	return nil
}

// unreferBlobs forgets to which blobs the events from and to and those between
// refer, because their data goes.
func (t *txn) unreferBlobs(no, from, to int64) error {
	n, err := t.conn.Exec(`DELETE FROM blob_refs WHERE session_no = ? AND id BETWEEN ? AND ?`, no, from, to)
	if n > 0 {
		t.written = true
	}
	return err
}

// blobUnused is the condition under which a blob may go. References of a
// deleted session do not hold it, although their rows may still be there.
const blobUnused = `sha256 IS NOT NULL AND created_at < ? AND NOT EXISTS (SELECT 1 FROM blob_refs
	WHERE blob_refs.sha256 = blobs.sha256 AND session_no NOT IN (SELECT session_no FROM garbage))`

// any reports whether a fork is being made.
func (k *copies) any() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.nos) > 0
}

// SweepBlobs implements store.Blobs. A blob that goes loses its hash first, so
// that nobody reads it half removed, and then its pieces, a few at a time.
func (l *Log) SweepBlobs(ctx context.Context, grace time.Duration) (removed int64, err error) {
	cutoff := l.options.Now().Add(-grace).UnixMilli()
	for after, more := int64(0), true; more; {
		var unused []int64
		if unused, err = l.unusedBlobs(ctx, cutoff, after); err != nil || len(unused) == 0 {
			break
		}
		var n int64
		n, err = l.markBlobs(ctx, unused, cutoff)
		removed += n
		l.measures.blobs.Add(n)
		after, more = unused[len(unused)-1], err == nil && len(unused) == blobSweepRows
	}
	if err != nil {
		return removed, err
	}
	cleared, err := l.sweepUploads(ctx)
	if err != nil || !cleared {
		return removed, err
	}
	return removed, l.vacuum(ctx)
}

// unusedBlobs looks for blobs that may go. It reads beside the writer, which
// looks again at each that is found.
func (l *Log) unusedBlobs(ctx context.Context, cutoff, after int64) (unused []int64, err error) {
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) error {
			unused = append(unused, row.Int(0))
			return nil
		}, `SELECT no FROM blobs WHERE `+blobUnused+` AND no > ? ORDER BY no LIMIT ?`, cutoff, after, int64(blobSweepRows))
	})
	return unused, err
}

// markBlobs takes their hashes from those blobs that are still unused.
func (l *Log) markBlobs(ctx context.Context, unused []int64, cutoff int64) (marked int64, err error) {
	err = l.queue.do(ctx, 0, 0, func(t *txn) error {
		// A fork that is being made has the references that it copied under a
		// number that looks deleted, and its source may lose its own meanwhile.
		if l.copies.any() {
			return nil
		}
		t.written = true
		for _, no := range unused {
			bytes, err := t.conn.Int(`SELECT bytes FROM blobs WHERE no = ?`, no)
			if err != nil {
				return err
			}
			n, err := t.conn.Exec(`UPDATE blobs SET sha256 = NULL WHERE `+blobUnused+` AND no = ?`, cutoff, no)
			if err != nil {
				return err
			}
			marked += n
			t.account.blobs.n -= n
			t.account.blobs.bytes -= n * bytes
		}
		return nil
	})
	if err != nil {
		marked = 0
	}
	return marked, err
}

// sweepUploads removes the blobs without a hash that nobody is writing. It
// reports whether there were any.
func (l *Log) sweepUploads(ctx context.Context) (cleared bool, err error) {
	for {
		no := int64(0)
		err := l.queue.do(ctx, 0, 0, func(t *txn) (err error) {
			err = t.conn.Query(func(row sqlite3.Row) error {
				if l.uploads.has(row.Int(0)) {
					return nil
				}
				no = row.Int(0)
				return sqlite3.ErrStop
			}, `SELECT no FROM blobs WHERE sha256 IS NULL ORDER BY no`)
			if err != nil || no == 0 {
				return err
			}
			_, err = t.removeBlob(no)
			return err
		})
		if err != nil || no == 0 {
			return cleared, err
		}
		cleared = true
	}
}

// discard removes an upload that came to nothing.
func (l *Log) discard(ctx context.Context, no int64) error {
	for more := true; more; {
		err := l.queue.do(ctx, 0, 0, func(t *txn) (err error) {
			more, err = t.removeBlob(no)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removeBlob removes some pieces of a blob without a hash, and its row with the
// last of them. It reports whether there is more to do.
func (t *txn) removeBlob(no int64) (more bool, err error) {
	dead, err := t.conn.Int(`SELECT count(*) FROM blobs WHERE no = ? AND sha256 IS NULL`, no)
	if err != nil || dead == 0 {
		return false, err
	}
	t.written = true
	n, err := t.conn.Exec(`DELETE FROM blob_chunks WHERE rowid IN (SELECT rowid FROM blob_chunks WHERE blob_no = ? ORDER BY seq LIMIT ?)`, no, int64(blobSweepChunks))
	t.bytes += n * pageBytes // a guess, for the checkpoint: freed pages are not written
	if err != nil || n == blobSweepChunks {
		return true, err
	}
	_, err = t.conn.Exec(`DELETE FROM blobs WHERE no = ?`, no)
	return false, err
}
