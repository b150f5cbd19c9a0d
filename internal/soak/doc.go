// Package soak holds the proof that konlog runs for long: a day of mixed load in
// virtual time, and minutes of it at four fifths of what the machine can do,
// while the server is killed, its disk is full, its clock jumps and its readers'
// network breaks. All that was acknowledged must be there once, every reader must
// have seen it once and in order, and memory and descriptors must not grow. It
// has tests only.
//
// It runs with KONLOG_LONG=1. KONLOG_SOAK sets how long the real run takes (8s without it; 15m is the full
// one), KONLOG_SOAK_HOURS the virtual one (2 without it; 24 is the full one).
// KONLOG_SOAK_GRAPH names a file for a graph of the real run.
package soak
