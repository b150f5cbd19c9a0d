package bench

import (
	"bytes"
	"errors"
	"strconv"
)

var (
	sseEnd   = []byte("\n\n")
	sseData  = []byte("\ndata: ")
	sseEvent = []byte("event: ")
)

var errSSE = errors.New("malformed event stream")

// parseSSE reads the block at the beginning of b: its id (-1 when it has none)
// and its data (nil when it has none). named is set for a control frame. size
// 0 means that more bytes are needed. It knows the form that the server
// writes, not all that the standard allows.
func parseSSE(b []byte) (id int64, data []byte, named bool, size int, err error) {
	end := bytes.Index(b, sseEnd)
	if end < 0 {
		return 0, nil, false, 0, nil
	}
	block := b[:end]
	size, id = end+len(sseEnd), -1
	if bytes.HasPrefix(block, []byte("id: ")) {
		line := block[len("id: "):]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		if id, err = strconv.ParseInt(string(line), 10, 64); err != nil {
			return 0, nil, false, 0, errSSE
		}
	} else {
		named = bytes.HasPrefix(block, sseEvent)
	}
	if i := bytes.Index(block, sseData); i >= 0 {
		data = block[i+len(sseData):]
	}
	return id, data, named, size, nil
}
