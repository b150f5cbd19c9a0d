// Package crash holds the proof that nothing is lost when the server dies: the
// real binary is killed at random moments under load, again and again on one
// data directory, and what was acknowledged or shown to a reader is looked for
// afterwards. It has tests only.
//
// KONLOG_CRASH_ROUNDS sets the number of kills (30 in CI, thousands for a long
// run); KONLOG_CRASH_SEED repeats a run's random choices.
package crash
