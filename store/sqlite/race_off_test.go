//go:build !race

package sqlite

// RaceEnabled says that the race detector slows everything down manyfold.
const RaceEnabled = false
