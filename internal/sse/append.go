package sse

import (
	"strconv"
	"time"
)

// AppendRetry appends the time after which a reader that lost its connection
// should come back.
func AppendRetry(dst []byte, d time.Duration) []byte {
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, d.Milliseconds(), 10)
	return append(dst, '\n', '\n')
}

// AppendComment appends a comment, which no reader sees but which keeps a
// proxy from taking the connection for dead. text must be one line.
func AppendComment(dst []byte, text string) []byte {
	dst = append(dst, ": "...)
	dst = append(dst, text...)
	return append(dst, '\n', '\n')
}

// AppendName appends the line that names the event to come.
func AppendName(dst []byte, name string) []byte {
	dst = append(dst, "event: "...)
	dst = append(dst, name...)
	return append(dst, '\n')
}

// AppendData appends the data line of an event and ends the event. data must
// be one line; an encoded event always is.
func AppendData(dst, data []byte) []byte {
	dst = append(dst, "data: "...)
	dst = append(dst, data...)
	return append(dst, '\n', '\n')
}
