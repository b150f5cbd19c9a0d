package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"strings"
	"time"
)

// Blob describes content that events refer to by its SHA-256 instead of
// holding it: images, files (PROTOCOL.md 7.5). Content never changes.
type Blob struct {
	SHA256      string // 64 lower-case hex digits
	Bytes       int64
	ContentType string    // as the first upload named it
	CreatedAt   time.Time // of the last upload of this content; the grace of SweepBlobs begins here
	Refs        int64     // events that refer to it
}

// The bounds of blobs.
const (
	BlobBytesDefault = 32 << 20  // a large picture or a short recording; what is larger belongs on a file server
	BlobChunkBytes   = 256 << 10 // of one piece of a blob in an engine: appends of others wait for one piece at most
	BlobRefsMax      = 256       // different blobs that one event refers to; bounds what retention does per event
	blobTypeMax      = 255       // bytes of a content type; the longest registered one has fewer than 100
)

// BlobTypeDefault is the content type of a blob of which no better is known.
const BlobTypeDefault = "application/octet-stream"

// Sentinels for errors.Is.
var (
	ErrBlobNotFound   = &Error{Code: CodeBlobNotFound, Detail: "there is no blob with this SHA-256; blobs to which no event refers are removed after a while, so send it again"}
	ErrDigestMismatch = &Error{Code: CodeDigestMismatch, Detail: "the content that arrived is not what its digest says; send it again"}
)

// Blobs is the ability to keep content beside the log.
type Blobs interface {
	// PutBlob stores what r gives, up to its end, once: content that is there
	// already is returned with created false, and its grace begins anew. When
	// it returns nil the content survives a crash and a power loss. max bounds
	// the bytes, 0 stands for BlobBytesDefault; what is larger is refused with
	// CodeBlobTooLarge. An error of r is returned wrapped. Nothing can be seen
	// of content that was not stored whole. r is read in pieces of
	// BlobChunkBytes, and appends go on meanwhile. The content type is kept as
	// BlobType gives it.
	PutBlob(ctx context.Context, contentType string, r io.Reader, max int64) (b Blob, created bool, err error)
	// Blob describes a blob, or gives ErrBlobNotFound.
	Blob(ctx context.Context, sha256 string) (Blob, error)
	// BlobShown reports whether an event of one of these sessions, nil being
	// all, refers to the content.
	BlobShown(ctx context.Context, sha256 string, visible Patterns) (bool, error)
	// ReadBlob reads as io.ReaderAt does: fewer bytes than len(p) come with an
	// error, io.EOF at the end. It is cheapest when off is a multiple of
	// BlobChunkBytes and p is as long. A blob may be swept between two reads,
	// and the second gives ErrBlobNotFound then.
	ReadBlob(ctx context.Context, sha256 string, p []byte, off int64) (int, error)
	// SweepBlobs removes the blobs to which no event refers and whose last
	// upload is longer ago than grace, and returns how many went. It also
	// removes what interrupted uploads left behind.
	SweepBlobs(ctx context.Context, grace time.Duration) (removed int64, err error)
}

// BlobTooLarge is the refusal of content over max bytes.
func BlobTooLarge(max int64) *Error {
	return Errorf(CodeBlobTooLarge, "the content is over the limit of %d bytes; make it smaller, or keep it elsewhere and refer to it by its address", max)
}

// BlobType returns the content type as a blob keeps it: in the form of
// mime.FormatMediaType, or BlobTypeDefault when it is none.
func BlobType(contentType string) string {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.Contains(kind, "/") {
		return BlobTypeDefault
	}
	kind = mime.FormatMediaType(kind, params)
	if kind == "" || len(kind) > blobTypeMax {
		return BlobTypeDefault
	}
	return kind
}

// BlobHash returns the 32 bytes that a SHA-256 of 64 lower-case hex digits
// stands for; ok is false when it is none.
func BlobHash(sha256 string) (hash []byte, ok bool) {
	if len(sha256) != 64 {
		return nil, false
	}
	for i := 0; i < len(sha256); i++ {
		if c := sha256[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return nil, false
		}
	}
	hash, err := hex.DecodeString(sha256)
	return hash, err == nil
}

// blobMember is the name of the members by which data refers to blobs.
const blobMember = "sha256"

// BlobRefs returns the SHA-256 of the blobs to which an event's data refers:
// the values of all object members named "sha256", nested ones too, that are
// 64 lower-case hex digits. Each comes once, in the order of the data, and no
// more than BlobRefsMax. Data must be valid JSON. It is called for every event
// that is appended, of which nearly none refers to a blob.
func BlobRefs(data []byte) (refs []string) {
	// Digits are rarer in text than letters, so the search runs over them faster.
	named := bytes.Contains(data, []byte(blobMember[3:])) && bytes.Contains(data, []byte(blobMember))
	if !named && !escapesMember(data) {
		return nil
	}
	seen := map[string]bool{}
	for i := 0; i < len(data) && len(refs) < BlobRefsMax; {
		if data[i] != '"' {
			i++
			continue
		}
		end := stringEnd(data, i)
		if end < 0 {
			break
		}
		// A string before a colon is a member's name: nothing else in JSON is.
		at := skipSpace(data, end)
		if at >= len(data) || data[at] != ':' || !stringIs(data[i:end], blobMember) {
			i = end
			continue
		}
		i = skipSpace(data, at+1)
		if end = stringEnd(data, i); end < 0 {
			continue
		}
		ref := stringText(data[i:end])
		i = end
		if _, ok := BlobHash(ref); ok && !seen[ref] {
			seen[ref] = true
			refs = append(refs, ref)
		}
	}
	return refs
}

// escapesMember reports whether a letter or digit of blobMember may stand in
// data as an escape, in which alone the name can hide.
func escapesMember(data []byte) bool {
	for {
		i := bytes.Index(data, []byte(`\u00`))
		if i < 0 || i+6 > len(data) {
			return false
		}
		switch string(data[i+4 : i+6]) {
		case "73", "68", "61", "32", "35", "36": // s h a 2 5 6
			return true
		}
		data = data[i+4:]
	}
}

func stringIs(quoted []byte, text string) bool {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return len(quoted) == len(text)+2 && string(quoted[1:len(quoted)-1]) == text
	}
	return stringText(quoted) == text
}

// stringText decodes a JSON string; "" when it is none.
func stringText(quoted []byte) (text string) {
	if bytes.IndexByte(quoted, '\\') < 0 && len(quoted) >= 2 {
		return string(quoted[1 : len(quoted)-1])
	}
	_ = json.Unmarshal(quoted, &text) // what does not decode is no name and no hash
	return text
}
