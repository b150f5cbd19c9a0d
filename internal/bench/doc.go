// Package bench measures a konlog server over its wire protocol: appends,
// fan-out, replay, reconnect storms, idle readers and growth. It starts a
// server of its own as a child process, on one CPU core, and loads it from
// another.
//
// It promises that a figure is never better than the truth: every reader
// requires each id once and in order, every acknowledgement is held against
// the session's head, and a scenario that lost or repeated anything ends with
// an error instead of a figure. Latency under a fixed rate counts from the
// moment an event was due, so that a stall is charged to every event that it
// held up.
//
// The load generator has one core as well, so it speaks HTTP/1.1, WebSocket
// and SSE itself, with prepared requests and one system call per read. It is
// no client for anything else.
package bench
