//go:build !linux

package bench

import (
	"errors"
	"time"
)

var errNoUsage = errors.New("CPU time and memory of the server are known on Linux only")

func cpuOf(int) (time.Duration, error) { return 0, errNoUsage }

func rssOf(int) (int64, error) { return 0, errNoUsage }

func cpuSelf() time.Duration { return 0 }
