//go:build linux || darwin || freebsd

package sqlite

import (
	"math"

	"golang.org/x/sys/unix"
)

// diskSpace asks for what a process without privileges may use.
func diskSpace(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	size := uint64(s.Bsize)
	used := uint64(s.Blocks) - uint64(s.Bfree)
	return blockBytes(uint64(s.Bavail), size), blockBytes(used+uint64(s.Bavail), size), nil
}

func blockBytes(blocks, size uint64) int64 {
	if size == 0 || blocks > math.MaxInt64/size { // also what is kept for root and used up, which some systems count below zero
		return 0
	}
	return int64(blocks * size)
}
