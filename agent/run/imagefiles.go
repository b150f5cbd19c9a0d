package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// imageEndings are those of the types that agents take.
var imageEndings = map[string]string{
	"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp",
}

// writeImages puts the pictures into files, for agents that read no others, in
// a new folder that nobody else can read. Without pictures there is none.
func writeImages(base string, images []Image) (folder string, files []string, err error) {
	if len(images) == 0 {
		return "", nil, nil
	}
	folder, err = os.MkdirTemp(base, "konlog-images-") // 0700
	if err != nil {
		return "", nil, fmt.Errorf("images of the prompt: %w", err)
	}
	for i, image := range images {
		kind, _, _ := strings.Cut(image.ContentType, ";")
		name := filepath.Join(folder, "image-"+strconv.Itoa(i+1)+imageEndings[strings.ToLower(strings.TrimSpace(kind))])
		if err := os.WriteFile(name, image.Content, 0o600); err != nil {
			_ = os.RemoveAll(folder) // the first error is the one that says why
			return "", nil, fmt.Errorf("images of the prompt: %w", err)
		}
		files = append(files, name)
	}
	return folder, files, nil
}
