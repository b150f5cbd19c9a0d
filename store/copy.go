package store

import (
	"context"
	"crypto/sha256"
)

// Of an answer to a CopyRequest.
const (
	CopyPagesMax  = 4096 // pages, 16 MiB of them: what is held in memory
	CopyHashBytes = 16   // of the SHA-256 of a page, by which two copies of it are told apart
)

// Copier is the ability to copy the database to elsewhere while it is written
// to, page by page, and then again and again what has changed.
//
// The pages of one answer are of one moment, those of two are not. A copy is
// of one moment once an answer held everything that changed since the answer
// before (Next is 0).
type Copier interface {
	CopyPages(ctx context.Context, r CopyRequest) (*CopyAnswer, error)
}

// CopyRequest asks for pages.
type CopyRequest struct {
	Instance string // of the answers before; "" in the first request
	Since    int64  // the Seq of an answer: only pages that may have changed after it was made; 0 means any
	From     int64  // the first page that is wanted; pages are numbered from 1
	Count    int64  // with Since 0: how many pages from there on, else how many at most; 0 means CopyPagesMax
	Have     []byte // with Since 0: hashes of these pages as the asker has them, one after the other; those that are the same are left out
}

// CopyAnswer is what pages hold as of one moment.
type CopyAnswer struct {
	Instance string // stands for this process: nobody knows what changed in the time of another
	Restart  bool   // the request named another instance, and got nothing: begin again
	Seq      int64  // the moment
	Pages    int64  // that the database has
	PageSize int
	Next     int64 // the page to go on with, 0 at the end

	Numbers []int64
	Content []byte // of these pages, one after the other
}

// PageHash tells copies of a page apart.
func PageHash(page []byte) []byte {
	sum := sha256.Sum256(page)
	return sum[:CopyHashBytes]
}
