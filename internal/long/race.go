//go:build race

package long

// Race says that the race detector slows everything down manyfold.
const Race = true
