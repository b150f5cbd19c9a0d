package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/konlog/konlog/client"
)

// promptImagesMax bounds the images of one prompt: more than a model takes in.
const promptImagesMax = 20

// imageHeadBytes is how much of a file tells its type; net/http looks at no more.
const imageHeadBytes = 512

// promptImage is how a prompt refers to an image that is stored as a blob.
type promptImage struct {
	SHA256      string `json:"sha256"`
	ContentType string `json:"contentType"`
	Bytes       int64  `json:"bytes"`
	Name        string `json:"name"`
}

// checkImages refuses what is no image before anything is stored.
func checkImages(files []string) error {
	if len(files) > promptImagesMax {
		return usagef("%d images are over the limit of %d", len(files), promptImagesMax)
	}
	for _, name := range files {
		f, _, err := openImage(name)
		if err != nil {
			return err
		}
		_ = f.Close() // it was only read
	}
	return nil
}

// openImage opens a file that is an image, by its content or its name.
func openImage(name string) (f *os.File, contentType string, err error) {
	if f, err = os.Open(name); err != nil {
		return nil, "", failf("image: %w", err)
	}
	head := make([]byte, imageHeadBytes)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		_ = f.Close() // the error that matters is the read's
		return nil, "", failf("image %s: %w", name, err)
	}
	contentType = http.DetectContentType(head[:n])
	if byName := mime.TypeByExtension(filepath.Ext(name)); !strings.HasPrefix(contentType, "image/") && n > 0 {
		contentType = byName // an SVG is text by its content
	}
	if !strings.HasPrefix(contentType, "image/") {
		_ = f.Close() // it was only read
		return nil, "", usagef("%s is not an image", name).because("give an image such as a PNG, JPEG, GIF, WebP or SVG file")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		_ = f.Close() // the error that matters is the seek's
		return nil, "", failf("image %s: %w", name, err)
	}
	return f, contentType, nil
}

// storeImages stores the files as blobs and returns what a prompt says of them.
func storeImages(ctx context.Context, cl *client.Client, files []string) (images []json.RawMessage, err error) {
	for _, name := range files {
		image, err := storeImage(ctx, cl, name)
		if err != nil {
			return nil, err
		}
		b, err := json.Marshal(image)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", name, err)
		}
		images = append(images, b)
	}
	return images, nil
}

func storeImage(ctx context.Context, cl *client.Client, name string) (promptImage, error) {
	f, contentType, err := openImage(name)
	if err != nil {
		return promptImage{}, err
	}
	defer f.Close()
	b, _, err := cl.PutBlob(ctx, contentType, f)
	if err != nil {
		return promptImage{}, fmt.Errorf("image %s: %w", name, err)
	}
	return promptImage{SHA256: b.SHA256, ContentType: contentType, Bytes: b.Bytes, Name: filepath.Base(name)}, nil
}
