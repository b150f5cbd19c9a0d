// Package sse writes and reads the text/event-stream format, for the server's
// carrier and for the client. The writer half appends to a buffer that the
// caller owns and allocates nothing; the reader half is bounded in memory by
// the line limit it is given. Neither knows what the events mean.
package sse
