// Package store defines what a log of agent events is: the event, the draft it
// is made from, the session it belongs to, and the contracts that an engine
// keeps. It holds no storage itself; store/sqlite is the engine, store/memory
// the reference that it is compared with, and store/storetest the suite that
// both must pass.
//
// Contract in three sentences. An append that returned nil is durable, atomic
// and has its place in the order of its session for ever. A read never waits,
// never changes anything, and shows only what is durable. Ids are 1, 2, 3 …
// per session, never reused, also after a crash and after delete and recreate.
//
// The package imports the standard library only, and never net/http,
// database/sql or log/slog.
package store
