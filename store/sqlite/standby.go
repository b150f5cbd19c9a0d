package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// followFile says which server a standby follows, and as of when it is.
const followFile = "follow.json"

// Standby is a data directory that is kept a copy of a server's. A server that
// is started on it takes it over: then it is a standby no more. It belongs to
// one goroutine.
type Standby struct {
	Progress func(done, total int64) // or nil; of pages, in a pass over all of them
	Checked  func(done, total int64) // or nil; of events, the first time

	dir   string
	lock  *sqlite3.Conn
	copy  *Copy // nil before the first Sync
	state StandbyState
}

// StandbyState says what a standby is.
type StandbyState struct {
	Server string    `json:"server"`
	At     time.Time `json:"at"` // everything that was acknowledged before is in it
	Place  CopyPlace `json:"place"`
}

// OpenStandby takes a directory for a copy of the server of that name. A backup
// that lies in it as konlog.db spares the first transfer.
func OpenStandby(dir, server string) (s *Standby, err error) {
	if dir, err = filepath.Abs(dir); err == nil {
		err = makeDir(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("standby: %w", err)
	}
	held, err := lock(dir)
	if err != nil {
		return nil, err
	}
	s = &Standby{dir: dir, lock: held}
	if err := s.open(server); err != nil {
		_ = s.Close() // the error that matters is the other
		return nil, fmt.Errorf("standby %s: %w", dir, err)
	}
	return s, nil
}

func (s *Standby) open(server string) error {
	var copyErr error // first, since what has been served is another's now, whatever the file says
	if s.copy, copyErr = OpenCopy(filepath.Join(s.dir, databaseFile), ""); copyErr != nil && !errors.Is(copyErr, os.ErrNotExist) {
		return copyErr
	}
	text, err := os.ReadFile(filepath.Join(s.dir, followFile))
	if err == nil {
		err = json.Unmarshal(text, &s.state)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read %s: %w; without the file everything is compared anew", followFile, err)
	}
	if s.state.Server != "" && s.state.Server != server {
		return fmt.Errorf("it is a copy of %s; follow %s into another directory", s.state.Server, server)
	}
	s.state.Server = server
	if s.copy == nil {
		s.state.Place = CopyPlace{}
	}
	return nil
}

// State says as of when the standby is; At is zero before the first Sync.
func (s *Standby) State() StandbyState { return s.state }

// Bytes is the size of the copy.
func (s *Standby) Bytes() int64 {
	info, err := os.Stat(filepath.Join(s.dir, databaseFile))
	if err != nil {
		return 0
	}
	return info.Size()
}

// Sync brings the standby up to date. After an error it is as it was.
func (s *Standby) Sync(ctx context.Context, from store.Copier) error {
	at := time.Now()
	if s.copy == nil {
		if err := s.first(ctx, from); err != nil {
			return fmt.Errorf("standby %s: %w", s.dir, err)
		}
	} else {
		s.copy.Progress = s.Progress
		place, err := s.copy.Sync(ctx, from, s.state.Place)
		if err != nil {
			return err
		}
		s.state.Place = place
	}
	s.state.At = at.UTC()
	text, err := json.Marshal(s.state)
	if err == nil {
		err = writeDurable(filepath.Join(s.dir, followFile), string(text)+"\n", nil)
	}
	if err != nil {
		return fmt.Errorf("standby %s: %w", s.dir, err)
	}
	return nil
}

// first makes the copy in a file that has its name once it is whole and sound.
// One that was broken off goes on: what is there is not sent again.
func (s *Standby) first(ctx context.Context, from store.Copier) error {
	file := filepath.Join(s.dir, databaseFile)
	c, err := NewCopy(file + ".part")
	if err != nil {
		return err
	}
	c.Progress = s.Progress
	place, err := c.Sync(ctx, from, CopyPlace{})
	if e := c.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	report, err := verifyFile(ctx, file+".part", "the copy", func(Problem) {}, s.Checked)
	if err != nil {
		return err
	}
	if report.Problems > 0 {
		return fmt.Errorf("the server's data is not sound (problems: %d); konlog verify says where", report.Problems)
	}
	if err := syncRename(file+".part", file, nil); err != nil {
		return err
	}
	s.copy, err = OpenCopy(file, "")
	s.state.Place = place
	return err
}

// Close gives the directory free.
func (s *Standby) Close() error {
	var err error
	if s.copy != nil {
		err = s.copy.Close()
	}
	return errors.Join(err, s.lock.Close())
}
