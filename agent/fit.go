package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/konlog/konlog/store"
)

// FitBytesMin is the least limit that every event can be made to fit: its
// labels, and what says where its content is.
const FitBytesMin = 4 << 10

// Bounds of what is left of a large event beside its blob.
const (
	fitHead     = 1 << 10  // of a line that is no object
	fitPieceMin = 64 << 10 // content is not cut into smaller blobs
	fitPieces   = 16       // fit into FitBytesMin
)

// fitKeeps is how much is kept of long texts: less when that is not enough.
var fitKeeps = [...]int{4 << 10, 1 << 10, 256}

// The members that Fit adds to data.
const (
	memberLine  = "line"  // where the line is that the event stands for
	memberWhole = "whole" // where the data is, of an event that has no line
	memberCut   = "cut"   // texts are cut or members left out: the blob has them
	memberHead  = "head"  // the beginning of a line that is no object
	memberBytes = "bytes" // its length
	plural      = "s"     // after memberLine or memberWhole when it takes several blobs
)

// BlobRef is how data refers to a blob (PROTOCOL.md 7.5).
type BlobRef struct {
	SHA256      string `json:"sha256"`
	Bytes       int64  `json:"bytes"`
	ContentType string `json:"contentType"`
}

// Fit makes a draft that is larger than max bytes fit. Its line goes into a blob
// by put, and data says where: "line" is a BlobRef, or "lines" are several whose
// contents follow each other. Of an event that has no line the data goes there,
// as "whole". Then, as far as it must be, long texts in data are cut, and the
// largest members left out, but for ids and names. Data that is no object gives
// way to the beginning of the line. FittedLine gives the line back. The same
// draft gives the same bytes. A Part is made to fit whatever its size. max must be
// at least FitBytesMin.
func Fit(ctx context.Context, d store.Draft, max int, put func(ctx context.Context, contentType string, content []byte) (store.Blob, error)) (store.Draft, error) {
	if !NeedsFit(&d, max) {
		return d, nil
	}
	if max < FitBytesMin {
		return d, fmt.Errorf("fit an event into %d bytes: the least limit is %d", max, FitBytesMin)
	}
	name, content := memberLine, d.Raw
	switch {
	case d.Raw != nil:
	case d.Type == TypeLine:
		line, err := Line(d.Data, nil)
		if err != nil {
			line = d.Data
		}
		content = line
	default:
		name, content = memberWhole, d.Data
	}
	contentType := typeOf(content)
	if isPart(&d) {
		contentType = store.BlobTypeDefault // it may begin and end within a character
	}
	refs, err := putPieces(ctx, content, contentType, put)
	if err != nil {
		return d, fmt.Errorf("fit an event of %d bytes: %w", d.Size(), err)
	}
	if d.Type == TypeLine && d.Raw == nil && !utf8.Valid(content) {
		d.Data = nil // the line in base64, of which a part says nothing
	}
	room := max - (d.Size() - len(d.Data) - len(d.Raw))
	d.Data = fitData(d.Data, reference(name, refs), content, room)
	d.Raw = nil
	if d.Size() > max {
		return d, fmt.Errorf("fit an event into %d bytes: its labels and blobs alone take %d", max, d.Size())
	}
	return d, nil
}

// putPieces stores content in as few blobs as the log takes.
func putPieces(ctx context.Context, content []byte, contentType string, put func(ctx context.Context, contentType string, content []byte) (store.Blob, error)) ([]BlobRef, error) {
	for piece := store.BlobBytesDefault; ; piece /= 2 {
		refs, err := putEach(ctx, content, contentType, piece, put)
		if !errors.Is(err, &store.Error{Code: store.CodeBlobTooLarge}) || piece/2 < fitPieceMin {
			return refs, err
		}
	}
}

func putEach(ctx context.Context, content []byte, contentType string, piece int, put func(ctx context.Context, contentType string, content []byte) (store.Blob, error)) (refs []BlobRef, err error) {
	if len(content) > piece {
		contentType = store.BlobTypeDefault // a part of a text may end within a character
	}
	if len(content) > piece*fitPieces {
		return nil, fmt.Errorf("%d bytes would take more than %d blobs of %d bytes; raise the log's limit of a blob", len(content), fitPieces, piece)
	}
	for part := range slices.Chunk(content, piece) {
		b, err := put(ctx, contentType, part)
		if err != nil {
			return nil, err
		}
		refs = append(refs, BlobRef{b.SHA256, int64(len(part)), contentType})
	}
	return refs, nil
}

// typeOf is the content type of a line.
func typeOf(content []byte) string {
	switch {
	case !utf8.Valid(content):
		return store.BlobTypeDefault
	case json.Valid(content):
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// reference is the member that says where content is.
func reference(name string, refs []BlobRef) *body {
	var b body
	if len(refs) == 1 {
		return b.raw(name, mustJSON(refs[0]))
	}
	return b.raw(name+plural, mustJSON(refs))
}

// fitData is what is left of data beside the reference, in the bytes of room.
func fitData(data []byte, ref *body, content []byte, room int) []byte {
	members, ok := membersOf(data)
	if !ok {
		return headData(ref, content, room)
	}
	own := []string{memberLine, memberLine + plural, memberWhole, memberWhole + plural, memberCut}
	members = slices.DeleteFunc(members, func(m fitMember) bool { return slices.Contains(own, m.name) })
	if out := joined(ref, false, members); len(out) <= room {
		return out
	}
	kept := slices.Clone(members)
	for _, keep := range fitKeeps {
		for i, m := range members {
			if !fixed(m.name) {
				kept[i].value = cutTexts(m.value, keep)
			}
		}
		if out := joined(ref, true, kept); len(out) <= room {
			return out
		}
	}
	return joined(ref, true, largestOut(kept, room-len(joined(ref, true, nil))))
}

// headData stands for data that is no object.
func headData(ref *body, content []byte, room int) []byte {
	size := strconv.AppendInt(nil, int64(len(content)), 10)
	for head := strings.ToValidUTF8(string(content[:min(len(content), fitHead)]), "\uFFFD"); ; head = head[:len(head)/2] {
		b := body{slices.Clone(ref.b)}
		out := b.text(memberHead, strings.TrimRight(strings.ToValidUTF8(head, ""), "\uFFFD")).raw(memberBytes, size).data()
		if len(out) <= room || head == "" {
			return out
		}
	}
}

// fitMember is a member of an object, with its value's own bytes.
type fitMember struct {
	name  string
	value []byte
}

// membersOf reads an object's members in their order; ok is false for any other
// value.
func membersOf(data []byte) (members []fitMember, ok bool) {
	if len(data) == 0 || !json.Valid(data) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, false
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, false
		}
		members = append(members, fitMember{name.(string), v})
	}
	return members, true
}

func joined(ref *body, cut bool, members []fitMember) []byte {
	b := body{slices.Clone(ref.b)}
	b.yes(memberCut, cut)
	for _, m := range members {
		b.name(m.name)
		b.b = append(b.b, m.value...)
	}
	return b.data()
}

// fixed reports whether a member is an id or a name, by which other events and
// people know what the event is about. None is long but by mistake.
func fixed(name string) bool {
	switch name {
	case "id", "name", "block", "sha256":
		return true
	}
	return strings.HasSuffix(name, "Id") || strings.HasSuffix(name, "_id")
}

// largestOut leaves out the largest members until the others fit the room, ids
// and names last.
func largestOut(members []fitMember, room int) []fitMember {
	size := 0
	cost := func(m fitMember) int { return len(m.value) + len(textData([]byte(m.name))) + 2 }
	order := make([]int, len(members))
	for i, m := range members {
		size += cost(m)
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if x, y := fixed(members[a].name), fixed(members[b].name); x != y {
			if x {
				return 1
			}
			return -1
		}
		return cost(members[b]) - cost(members[a])
	})
	gone := make([]bool, len(members))
	for _, i := range order {
		if size <= room {
			break
		}
		gone[i] = true
		size -= cost(members[i])
	}
	var kept []fitMember
	for i, m := range members {
		if !gone[i] {
			kept = append(kept, m)
		}
	}
	return kept
}
