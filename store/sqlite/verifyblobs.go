package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"

	"github.com/konlog/konlog/internal/sqlite3"
)

// storedBlob is a row of blobs.
type storedBlob struct {
	no, bytes, chunk int64
	hash             []byte
}

// blobs reads all content and holds it against its hash. A row without a hash
// is an upload that runs or waits for its removal, of which nothing is said.
func (v *verifier) blobs(ctx context.Context) error {
	var all []storedBlob
	err := v.c.Query(func(row sqlite3.Row) error {
		all = append(all, storedBlob{row.Int(0), row.Int(1), row.Int(2), bytes.Clone(row.Bytes(3))})
		return nil
	}, `SELECT no, bytes, chunk_bytes, sha256 FROM blobs WHERE sha256 IS NOT NULL ORDER BY no`)
	if err != nil {
		return err
	}
	for _, b := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.report.Blobs++
		if err := v.blob(b); err != nil {
			return err
		}
	}
	return v.blobOrphans()
}

func (v *verifier) blob(b storedBlob) error {
	hash, next, size := sha256.New(), int64(0), int64(0)
	err := v.c.Query(func(row sqlite3.Row) error {
		seq, data := row.Int(0), row.Bytes(1)
		if seq != next {
			v.found("", 0, "blob %x: pieces %d to %d are missing", b.hash, next, seq-1)
		}
		if n := int64(len(data)); n != b.chunk && size+n != b.bytes {
			v.found("", 0, "blob %x: piece %d has %d bytes", b.hash, seq, n)
		}
		hash.Write(data)
		next, size = seq+1, size+int64(len(data))
		return nil
	}, `SELECT seq, data FROM blob_chunks WHERE blob_no = ? ORDER BY seq`, b.no)
	if err != nil {
		return err
	}
	if size != b.bytes {
		v.found("", 0, "blob %x: %d bytes are there, its row says %d", b.hash, size, b.bytes)
	}
	if sum := hash.Sum(nil); !bytes.Equal(sum, b.hash) {
		v.found("", 0, "blob %x: the content has the hash %x", b.hash, sum)
	}
	return nil
}

// blobOrphans looks for pieces without a blob, and references of no event.
func (v *verifier) blobOrphans() error {
	err := v.c.Query(func(row sqlite3.Row) error {
		v.found("", 0, "table blob_chunks: %d rows of blob number %d, which does not exist", row.Int(1), row.Int(0))
		return nil
	}, `SELECT blob_no, count(*) FROM blob_chunks WHERE blob_no NOT IN (SELECT no FROM blobs) GROUP BY blob_no ORDER BY blob_no`)
	if err != nil {
		return err
	}
	return v.c.Query(func(row sqlite3.Row) error {
		v.found(row.Text(0), row.Int(1), "refers to blob %x, but is no event", row.Bytes(2))
		return nil
	}, `SELECT s.id, r.id, r.sha256 FROM blob_refs AS r JOIN sessions AS s ON s.no = r.session_no
		WHERE r.id NOT BETWEEN s.floor AND s.head ORDER BY s.no, r.id, r.sha256`)
}
