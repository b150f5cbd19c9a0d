//go:build !race

package parity

// raceEnabled says that the race detector slows everything down manyfold.
const raceEnabled = false
