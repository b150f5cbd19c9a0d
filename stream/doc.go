// Package stream carries a session's log to its readers: over WebSocket,
// Server-Sent Events and long-poll, from one cursor on one code path.
//
// A reader is a cursor and nothing else. It registers with the Hub for
// wake-ups, then reads committed events from its cursor, for ever: what was
// stored before it came and what is appended while it watches arrive by the
// same reads. Wake-ups merge and carry no data, and there is no queue per
// reader, so a reader that does not keep up costs its own bounded batch and
// nobody else anything.
//
// Promises: a reader sees cursor+1, cursor+2 … without gap, repeat or reorder
// (P3); the bytes of an event are the same on every transport (P4); missing
// history is told by a gap or reset frame (P6); a wake-up that is lost costs
// at most one heartbeat (I6). A connection has one goroutine that reads the
// log and writes, a WebSocket a second one that reads frames; both have ended
// when the Serve call returns.
//
// The package does not authenticate, route or append: api does.
package stream
