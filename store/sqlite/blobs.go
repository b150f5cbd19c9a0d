package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

var _ store.Blobs = (*Log)(nil)

// pieces are the buffers of uploads.
var pieces = sync.Pool{New: func() any { return new([store.BlobChunkBytes]byte) }}

// uploads are the numbers of the blobs that are being written by this process:
// a row without a hash and not of these is what an interrupted upload left.
type uploads struct {
	mu   sync.Mutex // guards what follows
	last int64      // the highest number that was ever given out: a number of a lost row must not come again while its upload runs
	open map[int64]bool
}

// begin gives out a number above highest, the highest in the database.
func (u *uploads) begin(highest int64) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.open == nil {
		u.open = map[int64]bool{}
	}
	u.last = max(u.last, highest) + 1
	u.open[u.last] = true
	return u.last
}

func (u *uploads) end(no int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.open, no)
}

func (u *uploads) has(no int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.open[no]
}

// upload is one PutBlob on its way.
type upload struct {
	l           *Log
	contentType string
	hash        hash.Hash
	no          int64 // 0 until a piece is written
	pieces      int64 // written
	bytes       int64 // read
}

// PutBlob implements store.Blobs. Each full piece is a transaction of its own,
// so that appends come in between; the last one, which may be all there is,
// makes the blob visible.
func (l *Log) PutBlob(ctx context.Context, contentType string, r io.Reader, max int64) (b store.Blob, created bool, err error) {
	if max <= 0 {
		max = store.BlobBytesDefault
	}
	u := &upload{l: l, contentType: store.BlobType(contentType), hash: sha256.New()}
	buf := pieces.Get().(*[store.BlobChunkBytes]byte)
	defer pieces.Put(buf)
	defer func() {
		if u.no != 0 && !created {
			// Whatever goes wrong here is made good by the next sweep.
			_ = l.discard(context.WithoutCancel(ctx), u.no)
		}
		l.uploads.end(u.no)
	}()
	for {
		n, err := io.ReadFull(r, buf[:])
		u.bytes += int64(n)
		u.hash.Write(buf[:n])
		switch {
		case u.bytes > max:
			return b, false, store.BlobTooLarge(max)
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			b, created, err = u.finish(ctx, buf[:n])
			return b, created, err
		case err != nil:
			return b, false, fmt.Errorf("read the content: %w", err)
		}
		if err := u.write(ctx, buf[:n]); err != nil {
			return b, false, err
		}
	}
}

// write stores a piece that is not the last.
func (u *upload) write(ctx context.Context, piece []byte) error {
	return u.l.queue.do(ctx, 0, int64(len(piece)), func(t *txn) error {
		if t.w.disk.low { // whether it is a blob too many is known at the end: this content may be here already
			return t.w.disk.refusal()
		}
		if err := u.begin(t); err != nil {
			return err
		}
		return u.insert(t, piece)
	})
}

// begin makes the row, without a hash.
func (u *upload) begin(t *txn) error {
	if u.no != 0 {
		return nil
	}
	highest, err := t.conn.Int(`SELECT ifnull(max(no), 0) FROM blobs`)
	if err != nil {
		return err
	}
	u.no = u.l.uploads.begin(highest)
	t.written = true
	_, err = t.conn.Exec(`INSERT INTO blobs VALUES (?, NULL, 0, ?, ?, ?)`, u.no, int64(store.BlobChunkBytes), u.contentType, t.now.UnixMilli())
	return err
}

func (u *upload) insert(t *txn, piece []byte) error {
	t.written = true
	t.bytes += int64(len(piece))
	_, err := t.conn.Exec(`INSERT INTO blob_chunks VALUES (?, ?, ?)`, u.no, u.pieces, piece)
	u.pieces++
	return err
}

// finish stores the last piece and gives the blob its hash, unless there is
// one of this content.
func (u *upload) finish(ctx context.Context, piece []byte) (b store.Blob, created bool, err error) {
	sum := u.hash.Sum(nil)
	err = u.l.queue.do(ctx, 0, int64(len(piece)), func(t *txn) error {
		known, err := t.conn.Exec(`UPDATE blobs SET created_at = max(created_at, ?) WHERE sha256 = ?`, t.now.UnixMilli(), sum)
		if err == nil && known == 0 {
			err = u.complete(t, sum, piece)
		}
		if err != nil {
			return err
		}
		t.written, created = true, known == 0
		b, _, err = readBlob(t.conn, sum)
		return err
	})
	return b, created && err == nil, err
}

// complete makes the upload visible, after a look at whether every piece that
// was written is there: content with a hole must never get its hash.
func (u *upload) complete(t *txn, sum, piece []byte) error {
	if u.no != 0 {
		count, bytes := int64(0), int64(0)
		err := t.conn.Query(func(row sqlite3.Row) error {
			count, bytes = row.Int(0), row.Int(1)
			return sqlite3.ErrStop
		}, `SELECT count(*), ifnull(sum(length(data)), 0) FROM blob_chunks WHERE blob_no = ?`, u.no)
		if err != nil {
			return err
		}
		if count != u.pieces || bytes != u.bytes-int64(len(piece)) {
			cause := fmt.Errorf("blob %d: %d of %d pieces are there", u.no, count, u.pieces)
			return store.Because(store.CodeStorageFailed, cause, "a part of the content was lost; send it again")
		}
	}
	if err := t.roomForBlob(u.bytes); err != nil {
		return err
	}
	if err := u.begin(t); err != nil {
		return err
	}
	t.account.blobs.n++
	t.account.blobs.bytes += u.bytes
	if len(piece) > 0 {
		if err := u.insert(t, piece); err != nil {
			return err
		}
	}
	_, err := t.conn.Exec(`UPDATE blobs SET sha256 = ?, bytes = ?, created_at = ? WHERE no = ?`, sum, u.bytes, t.now.UnixMilli(), u.no)
	return err
}

// blobColumns describe a blob. References of a session that is deleted count
// no more, although their rows may still be there.
const blobColumns = `no, bytes, chunk_bytes, content_type, created_at,
	(SELECT count(*) FROM blob_refs WHERE blob_refs.sha256 = blobs.sha256 AND session_no NOT IN (SELECT session_no FROM garbage))`

// blobPlace is where the content of a blob lies.
type blobPlace struct{ no, chunk int64 }

// readBlob reads the row of a blob, or gives store.ErrBlobNotFound.
func readBlob(c *sqlite3.Conn, sum []byte) (b store.Blob, at blobPlace, err error) {
	err = c.Query(func(row sqlite3.Row) error {
		at = blobPlace{row.Int(0), row.Int(2)}
		b = store.Blob{SHA256: hex.EncodeToString(sum), Bytes: row.Int(1), ContentType: row.Text(3), CreatedAt: millis(row.Int(4)), Refs: row.Int(5)}
		return sqlite3.ErrStop
	}, `SELECT `+blobColumns+` FROM blobs WHERE sha256 = ?`, sum)
	if err == nil && at.no == 0 {
		err = store.ErrBlobNotFound
	}
	return b, at, err
}

// Blob implements store.Blobs.
func (l *Log) Blob(ctx context.Context, sha256 string) (b store.Blob, err error) {
	sum, ok := store.BlobHash(sha256)
	if !ok {
		return b, store.ErrBlobNotFound
	}
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		b, _, err = readBlob(c, sum)
		return err
	})
	return b, err
}

// ReadBlob implements store.Blobs.
func (l *Log) ReadBlob(ctx context.Context, sha256 string, p []byte, off int64) (n int, err error) {
	sum, ok := store.BlobHash(sha256)
	if !ok {
		return 0, store.ErrBlobNotFound
	}
	if off < 0 {
		return 0, store.Errorf(store.CodeInvalidQuery, "offset %d is negative", off)
	}
	wanted := len(p)
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		b, at, err := readBlob(c, sum)
		if err != nil {
			return err
		}
		p = p[:min(int64(len(p)), max(b.Bytes-off, 0))]
		n, err = at.read(c, p, off)
		if err == nil && n < len(p) {
			err = store.Because(store.CodeCorrupt, fmt.Errorf("blob %s: bytes are missing after %d of %d", sha256, off+int64(n), b.Bytes), store.ErrCorrupt.Detail)
		}
		return err
	})
	if err == nil && n < wanted {
		err = io.EOF
	}
	return n, err
}

// read copies what lies at off. It reads less than len(p) only when pieces are
// missing.
func (at blobPlace) read(c *sqlite3.Conn, p []byte, off int64) (n int, err error) {
	if len(p) == 0 || at.chunk <= 0 {
		return 0, nil
	}
	next, skip := off/at.chunk, off%at.chunk
	last := (off + int64(len(p)) - 1) / at.chunk
	err = c.Query(func(row sqlite3.Row) error {
		data := row.Bytes(1)
		if row.Int(0) != next || int64(len(data)) < skip {
			return sqlite3.ErrStop
		}
		n += copy(p[n:], data[skip:])
		next, skip = next+1, 0
		return nil
	}, `SELECT seq, data FROM blob_chunks WHERE blob_no = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?`, at.no, next, last, last-next+1)
	return n, err
}
