package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// Bounds of the pictures in a page. Those beyond are named instead of shown.
const (
	pagePictureBytesMax = 4 << 20
	pagePicturesMax     = 32 << 20 // all together
)

// fetchBlob copies a blob from the server. One that the server has not is left
// out: the events refer to it, but nobody has it any more.
func fetchBlob(ctx context.Context, from *client.Client, to store.Blobs, ref string) error {
	b, err := from.Blob(ctx, ref)
	if errors.Is(err, store.ErrBlobNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("blob %s: %w", ref, err)
	}
	pr, pw := io.Pipe()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, err := from.CopyBlob(ctx, pw, ref)
		_ = pw.CloseWithError(err) // never fails; nil is io.EOF
	}()
	_, _, err = to.PutBlob(ctx, b.ContentType, pr, max(b.Bytes, 1))
	_ = pr.Close() // never fails; it wakes a copy that nobody reads
	<-copied
	if errors.Is(err, store.ErrBlobNotFound) { // swept meanwhile
		return nil
	}
	if err != nil {
		return fmt.Errorf("blob %s: %w", ref, err)
	}
	return nil
}

// sendBlob copies a blob to the server, if it has none of that content yet.
func sendBlob(ctx context.Context, from store.Blobs, to *client.Client, ref string) error {
	b, err := from.Blob(ctx, ref)
	if errors.Is(err, store.ErrBlobNotFound) {
		return nil // left out by the export
	}
	if err == nil {
		_, err = to.Blob(ctx, ref)
	}
	if errors.Is(err, store.ErrBlobNotFound) {
		_, _, err = to.PutBlob(ctx, b.ContentType, io.NewSectionReader(blobReader{ctx, from, ref}, 0, b.Bytes))
	}
	if err != nil {
		return fmt.Errorf("blob %s: %w", ref, err)
	}
	return nil
}

// blobReader reads a blob for the length of one call, which ctx is of.
type blobReader struct {
	ctx  context.Context
	from store.Blobs
	ref  string
}

func (r blobReader) ReadAt(p []byte, off int64) (int, error) {
	return r.from.ReadBlob(r.ctx, r.ref, p, off)
}

// pictures returns the pictures that prompts refer to, as data URLs by their
// SHA-256. A page must not load them, so those that cannot be had are left out.
func pictures(ctx context.Context, from *client.Client, events []store.Event) (map[string]string, error) {
	found, room := map[string]string{}, pagePicturesMax
	for i := range events {
		if events[i].Type != store.TypePrompt {
			continue
		}
		for _, ref := range store.BlobRefs(events[i].Data) {
			if _, done := found[ref]; done {
				continue
			}
			url, err := picture(ctx, from, ref, min(room, pagePictureBytesMax))
			if err != nil {
				return nil, err
			}
			if url != "" {
				found[ref] = url
				room -= len(url)
			}
		}
	}
	return found, nil
}

// pictureTypes are what every browser shows, and none runs.
var pictureTypes = map[string]bool{"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true}

// picture returns one picture as a data URL, or "" when it is none or too large.
func picture(ctx context.Context, from *client.Client, ref string, room int) (string, error) {
	b, err := from.Blob(ctx, ref)
	if errors.Is(err, store.ErrBlobNotFound) || err == nil && (!pictureTypes[b.ContentType] || b.Bytes > int64(room)) {
		return "", nil
	}
	var content bytes.Buffer
	if err == nil {
		_, err = from.CopyBlob(ctx, &content, ref)
	}
	if err != nil {
		return "", fmt.Errorf("blob %s: %w", ref, err)
	}
	return "data:" + b.ContentType + ";base64," + base64.StdEncoding.EncodeToString(content.Bytes()), nil
}
