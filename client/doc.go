// Package client appends to and tails the logs of a konlog server over HTTP.
//
// # Appending
//
// Append and Producer.Append return nil only after the server has said that
// the events are on disk. Every event carries an idempotency key (made when
// the draft has none) or the request carries a producer's sequence number, and
// all retries send the same bytes: whatever breaks on the way, an event is
// stored once or, when an error is returned, at most once. An error that
// matches ErrOutcomeUnknown means that the last word of the server never came.
//
// # Tailing
//
// Tail yields the events of a session in order, each once, without a hole, for
// as long as the context lives: it reconnects and resumes by itself, after the
// id it yielded last. It prefers WebSocket, steps down to SSE and then to
// long-polling where the way to the server does not let them through, and tries
// to step up again later. Events that the server can no longer give are
// announced through TailOptions.OnState, never left out in silence. The
// iterator ends with an error only when going on makes no sense.
//
// No goroutine outlives a call, and nothing is buffered beyond one message of
// the server: a slow loop body makes the server wait or cut, and the tail then
// resumes where the loop is.
//
// # Commands
//
// Prompt, Stop, Answer and Choose are appends with a meaning, and as safe:
// each is retried with the same key until it is answered, and done once. The
// result says when somebody else had decided before.
//
// # Errors
//
// A refusal of the server is a *store.Error with the server's code, so that
// errors.Is(err, store.ErrNotFound) and the like work; *StatusError tells the
// HTTP status. Errors name the operation and the address, without query,
// credentials or headers.
//
// A Client, and each method on it, may be used by any number of goroutines. The
// package does not cache, does not store cursors, and does not read
// configuration.
package client
