package api

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/konlog/konlog/store"
)

const (
	// One answer is held in memory at a time; who finds it taken waits so long.
	copyWait = 10 * time.Second
	// Pages that are sent with one write, and so have WriteTimeout together.
	copyWritePages = 64
	copyType       = "application/vnd.konlog.pages"
)

// copies is what the copying of the database needs and counts.
type copies struct {
	place chan struct{} // capacity 1: who makes an answer has a place in it
	pages prometheus.Counter
	whole atomic.Int64 // Unix milliseconds: when a copy last was given all; 0 means never. Whether it was written is not known here
}

func newCopies(m *metrics) *copies {
	c := &copies{place: make(chan struct{}, 1), pages: m.counter("copied_pages_total", "Pages of the database that were given to backups and followers.")}
	m.gauge("copied_time_seconds", "Unix time at which a backup or a follower last was given all that there was; 0 since the start of the server: never.", nil, func() float64 {
		return float64(c.whole.Load()) / 1000
	})
	return c
}

func (c *copies) count(r store.CopyRequest, a *store.CopyAnswer) {
	c.pages.Add(float64(len(a.Numbers)))
	if r.Since > 0 && a.Next == 0 && !a.Restart {
		c.whole.Store(time.Now().UnixMilli())
	}
}

// copyHead is the first line of an answer with pages.
type copyHead struct {
	Instance string `json:"instance"`
	Restart  bool   `json:"restart,omitempty"`
	Seq      int64  `json:"seq"`
	Pages    int64  `json:"pages"`
	PageSize int    `json:"pageSize"`
	Next     int64  `json:"next"`
	Count    int    `json:"count"`
	SHA256   string `json:"sha256"` // of all that follows the line
}

// postBackup gives pages of the database to who copies it.
func (s *Server) postBackup(c echo.Context) error {
	r := c.Request()
	copier, ok := s.log.(store.Copier)
	if !ok {
		return store.Errorf(codeNotFound, "this server's log cannot be copied")
	}
	request, err := copyRequest(r)
	if err != nil {
		return err
	}
	if request.Have, err = io.ReadAll(io.LimitReader(r.Body, store.CopyPagesMax*store.CopyHashBytes+1)); err != nil {
		return errBody(err)
	}
	if len(request.Have) > store.CopyPagesMax*store.CopyHashBytes {
		return store.Errorf(codeRequestTooLarge, "hashes of more than %d pages", store.CopyPagesMax)
	}
	patience := time.NewTimer(copyWait)
	defer patience.Stop()
	select {
	case s.copies.place <- struct{}{}:
		defer func() { <-s.copies.place }()
	case <-patience.C:
		return store.Errorf(codeTooManyConnections, "somebody else copies the database; one answer is made at a time")
	case <-r.Context().Done():
		return r.Context().Err()
	case <-s.stopped:
		return store.ErrShutdown
	}
	answer, err := copier.CopyPages(r.Context(), request)
	if err != nil {
		return err
	}
	s.copies.count(request, answer)
	return s.sendPages(c, answer)
}

func copyRequest(r *http.Request) (request store.CopyRequest, err error) {
	q, err := queryOf(r, "instance", "since", "from", "count")
	if err != nil {
		return request, err
	}
	request.Instance = q.Get("instance")
	for name, n := range map[string]*int64{"since": &request.Since, "from": &request.From, "count": &request.Count} {
		text := q.Get(name)
		if text == "" {
			continue
		}
		if *n, err = strconv.ParseInt(text, 10, 64); err != nil || *n < 0 {
			return request, store.Errorf(store.CodeInvalidQuery, "%s=%.40q: want a number from 0", name, text)
		}
	}
	if request.Since > 0 && request.Instance == "" {
		return request, store.Errorf(store.CodeInvalidQuery, "since needs the instance that it belongs to")
	}
	return request, nil
}

// sendPages gives the reader another while for each piece.
func (s *Server) sendPages(c echo.Context, a *store.CopyAnswer) error {
	sum, number := sha256.New(), [4]byte{}
	each := func(f func(number, page []byte) error) error {
		for i, n := range a.Numbers {
			binary.BigEndian.PutUint32(number[:], uint32(n))
			if err := f(number[:], a.Content[i*a.PageSize:(i+1)*a.PageSize]); err != nil {
				return err
			}
		}
		return nil
	}
	_ = each(func(number, page []byte) error {
		sum.Write(number)
		sum.Write(page)
		return nil
	})
	head, err := json.Marshal(copyHead{a.Instance, a.Restart, a.Seq, a.Pages, a.PageSize, a.Next, len(a.Numbers), hex.EncodeToString(sum.Sum(nil))})
	if err != nil {
		return err
	}
	w := c.Response()
	w.Header().Set("Content-Type", copyType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(head)+1+len(a.Numbers)*(len(number)+a.PageSize)))
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(s.limits.WriteTimeout)) // a connection without deadlines needs none
	buf := append(head, '\n')
	err = each(func(number, page []byte) error {
		if buf = append(append(buf, number...), page...); len(buf) < copyWritePages*a.PageSize {
			return nil
		}
		_ = rc.SetWriteDeadline(time.Now().Add(s.limits.WriteTimeout)) // likewise
		_, err := w.Write(buf)
		buf = buf[:0]
		return err
	})
	if err == nil {
		_, err = w.Write(buf)
	}
	if err != nil {
		s.logger.Debug("pages were not taken", "err", err)
	}
	return nil // the length was told: who got less knows it
}
