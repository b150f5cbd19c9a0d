//go:build !race

package edge

// Just below the limits of a request, 16 MiB, and above it.
const (
	batchEvents = 17
	blobBytes   = 20 << 20
)
