//go:build race

package edge

// The race detector makes the engine ten times slower; test.sh sends the full
// sizes without it. These are still over what proxies take by themselves.
const (
	batchEvents = 3
	blobBytes   = 3 << 20
)
