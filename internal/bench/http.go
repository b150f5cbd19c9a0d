package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// head is what matters of an answer's status line and header.
type head struct {
	status  int
	length  int // of the body; -1 when it is not told
	chunked bool
}

// answer is a whole answer.
type answer struct {
	head
	body []byte
}

var (
	crlf       = []byte("\r\n")
	headEnd    = []byte("\r\n\r\n")
	errNotHTTP = errors.New("the server did not answer with HTTP/1.1")
)

// parseHead reads the head of an answer. size 0 means that more bytes are
// needed.
func parseHead(b []byte) (h head, size int, err error) {
	end := bytes.Index(b, headEnd)
	if end < 0 {
		return h, 0, nil
	}
	if len(b) < 12 || string(b[:9]) != "HTTP/1.1 " {
		return h, 0, errNotHTTP
	}
	if h.status, err = strconv.Atoi(string(b[9:12])); err != nil {
		return h, 0, errNotHTTP
	}
	h.length = -1
	if h.status == 101 || h.status == 204 {
		h.length = 0
	}
	for line := range bytes.SplitSeq(b[:end], crlf) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		switch {
		case !ok:
		case len(name) == 14 && bytes.EqualFold(name, []byte("Content-Length")):
			if h.length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || h.length < 0 {
				return h, 0, fmt.Errorf("content-length %q: %w", value, errNotHTTP)
			}
		case len(name) == 17 && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			h.chunked = bytes.Contains(value, []byte("chunked"))
		}
	}
	return h, end + len(headEnd), nil
}

// parseAnswer reads a whole answer. used 0 means that more bytes are needed.
// The body lies in b, whose chunks are moved together.
func parseAnswer(b []byte) (a answer, used int, err error) {
	h, size, err := parseHead(b)
	if size == 0 || err != nil {
		return a, 0, err
	}
	a.head = h
	if h.chunked {
		return joinChunks(a, b, size)
	}
	if h.length < 0 {
		return a, 0, fmt.Errorf("an answer of unknown length: %w", errNotHTTP)
	}
	if len(b) < size+h.length {
		return a, 0, nil
	}
	a.body = b[size : size+h.length]
	return a, size + h.length, nil
}

// joinChunks looks whether all chunks are there before it moves any.
func joinChunks(a answer, b []byte, size int) (answer, int, error) {
	for _, move := range []bool{false, true} {
		d, at, end := dechunker{}, size, size
		for !d.over {
			data, used, err := d.next(b[at:])
			if err != nil || used == 0 {
				return a, 0, err
			}
			if move {
				end += copy(b[end:], data)
			}
			at += used
		}
		if move {
			a.body = b[size:end]
			return a, at, nil
		}
	}
	return a, 0, nil
}

// dechunker takes a chunked body apart.
type dechunker struct {
	left int  // bytes that the chunk still has
	tail bool // the line break behind a chunk comes next
	over bool // the last chunk was read
}

var errChunk = errors.New("malformed chunk")

// next returns the next piece of the body at the beginning of b, perhaps an
// empty one, and the bytes that it used. used 0 means that more are needed.
func (d *dechunker) next(b []byte) (data []byte, used int, err error) {
	if d.left > 0 {
		n := min(d.left, len(b))
		d.left -= n
		d.tail = d.left == 0
		return b[:n], n, nil
	}
	skip := 0
	if d.tail {
		if len(b) < len(crlf) {
			return nil, 0, nil
		}
		if !bytes.HasPrefix(b, crlf) {
			return nil, 0, errChunk
		}
		skip = len(crlf)
	}
	end := bytes.Index(b[skip:], crlf)
	if end < 0 {
		return nil, 0, nil
	}
	size, err := strconv.ParseUint(string(b[skip:skip+end]), 16, 31)
	if err != nil {
		return nil, 0, errChunk
	}
	used = skip + end + len(crlf)
	if size == 0 {
		if len(b) < used+len(crlf) {
			return nil, 0, nil
		}
		d.over, used = true, used+len(crlf)
	}
	d.left, d.tail = int(size), false
	return nil, used, nil
}

// getRequest makes a GET.
func getRequest(addr, target string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, addr)
}

// postRequest makes a POST of a body.
func postRequest(addr, target, contentType string, body []byte) []byte {
	b := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", target, addr, contentType, len(body))
	return append(b, body...)
}

// upgradeRequest makes the request that a WebSocket begins with. The key is a
// constant: it proves nothing between two programs that mean to talk.
func upgradeRequest(addr, target string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a29ubG9nIGJlbmNobWFyaw==\r\n\r\n", target, addr)
}
