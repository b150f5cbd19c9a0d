// Package sqlite is the engine: all sessions in one SQLite database in WAL
// mode with synchronous=FULL, written by one goroutine.
//
// Promises. Append returns nil only after the COMMIT that holds it has been
// fsynced. Everything that queued while the writer was committing goes into
// the next transaction, whatever session it belongs to; there is no timer.
// Options.Committed is called after COMMIT and after the new state can be
// read. Reads use their own connections and short transactions, or the newest
// events kept in memory, and are never blocked by the writer.
//
// The writer owns all knowledge of sessions in memory. Readers look into it
// but never add to it, so a reader that is late cannot bring back an old head.
//
// The SQL driver is used below database/sql: statements are prepared once per
// connection and a connection belongs to one goroutine at a time.
package sqlite
