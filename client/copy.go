package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/konlog/konlog/store"
)

// Of an answer with pages: its first line, and the number before each page.
const (
	copyHeadMax     = 4 << 10
	copyNumberBytes = 4
	copyPageSizeMax = 64 << 10 // SQLite's own limit
)

var _ store.Copier = (*Client)(nil)

// copyHead is the first line of an answer.
type copyHead struct {
	Instance string `json:"instance"`
	Restart  bool   `json:"restart"`
	Seq      int64  `json:"seq"`
	Pages    int64  `json:"pages"`
	PageSize int    `json:"pageSize"`
	Next     int64  `json:"next"`
	Count    int    `json:"count"`
	SHA256   string `json:"sha256"`
}

// CopyPages asks for pages of the server's database, of which a copy is made
// or kept up to date. Whoever may do that sees everything: it takes a
// credential of an administrator.
func (c *Client) CopyPages(ctx context.Context, r store.CopyRequest) (a *store.CopyAnswer, err error) {
	q := url.Values{}
	if r.Instance != "" {
		q.Set("instance", r.Instance)
	}
	for name, n := range map[string]int64{"since": r.Since, "from": r.From, "count": r.Count} {
		if n != 0 {
			q.Set(name, strconv.FormatInt(n, 10))
		}
	}
	err = c.persist(ctx, "copy pages", func() (progress, again bool, err error) {
		a, err = c.copyPages(ctx, q, r.Have)
		return false, err != nil, err
	})
	return a, err
}

func (c *Client) copyPages(ctx context.Context, q url.Values, have []byte) (*store.CopyAnswer, error) {
	ctx, watch := c.watched(ctx)
	defer watch.stop()
	u := c.url(q, "v1", "backup")
	resp, err := c.send(ctx, http.MethodPost, u, http.Header{"Content-Type": {"application/octet-stream"}}, bytes.NewReader(have))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp, http.MethodPost, u)
	}
	body := bufio.NewReaderSize(&watchedReader{resp.Body, watch}, copyHeadMax)
	line, err := body.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("the answer has no first line: %w", ErrUnreadable)
	}
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", cut(err))
	}
	var h copyHead
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, fmt.Errorf("decode answer: %w: %w", ErrUnreadable, err)
	}
	if h.Count < 0 || h.Count > store.CopyPagesMax || h.PageSize < 0 || h.PageSize > copyPageSizeMax {
		return nil, fmt.Errorf("answer of %d pages of %d bytes: %w", h.Count, h.PageSize, ErrUnreadable)
	}
	return readCopy(body, &h)
}

// readCopy reads the pages behind the first line.
func readCopy(body io.Reader, h *copyHead) (*store.CopyAnswer, error) {
	a := &store.CopyAnswer{
		Instance: h.Instance, Restart: h.Restart, Seq: h.Seq, Pages: h.Pages, PageSize: h.PageSize, Next: h.Next,
		Numbers: make([]int64, 0, h.Count), Content: make([]byte, h.Count*h.PageSize),
	}
	sum, number := sha256.New(), make([]byte, copyNumberBytes)
	body = io.TeeReader(body, sum)
	for i := range h.Count {
		_, err := io.ReadFull(body, number)
		if err == nil {
			_, err = io.ReadFull(body, a.Content[i*h.PageSize:(i+1)*h.PageSize])
		}
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", cut(err))
		}
		a.Numbers = append(a.Numbers, int64(binary.BigEndian.Uint32(number)))
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != h.SHA256 {
		return nil, fmt.Errorf("the pages have the SHA-256 %s, sent were %.64q: %w", got, h.SHA256, io.ErrUnexpectedEOF)
	}
	return a, nil
}

// cut is the end of an answer before its time.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
