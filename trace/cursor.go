package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// cursorFile is where the reader of turns keeps how far it came, in the data
// directory and not in the database: a backup that is put back does not take
// it back, and what it would export again is known by its ids anyhow.
const cursorFile = "trace-cursor.json"

// cursor is a place in the feed.
type cursor struct {
	Epoch string `json:"epoch"` // of the feed
	After int64  `json:"after"`
}

// loadCursor reads it. ok is false when there is none, or none that can be
// read: then the reader begins at the feed's head.
func loadCursor(dir string) (c cursor, ok bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, cursorFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("read the cursor of traces: %w", err)
	}
	return c, json.Unmarshal(b, &c) == nil && c.Epoch != "" && c.After >= 0, nil
}

// save replaces the file as a whole. It is not synced: after a power loss a few
// turns are exported again.
func (c cursor) save(dir string) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, cursorFile+".*")
	if err != nil {
		return fmt.Errorf("keep the cursor of traces: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, cursorFile))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("keep the cursor of traces: %w", err)
	}
	return nil
}
