// Package parity holds the proof that every reader sees the same log: a real
// server behind a network that cuts, stalls, half-opens and delays, readers on
// every transport, alone and changing over in mid-stream, and at the end the
// bytes that each of them got held against the log. It holds as well that what
// is missing is told, and that readers which stop reading harm nobody. It has
// tests only.
//
// KONLOG_PARITY_SEED repeats a run's random choices; KONLOG_SLOW_FULL makes
// the slow readers stop for ten seconds, as the release check wants it.
package parity
