//go:build race

package sqlite_test

// raceEnabled says that the race detector slows everything down manyfold.
const raceEnabled = true
