package bench

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram keeps 32 buckets per power of two: a percentile is off by 3 % at
// most, and recording allocates nothing.
const (
	histogramBits    = 5
	histogramBuckets = (64 - histogramBits) << histogramBits
)

// histogram counts durations. Any number of goroutines may record.
type histogram struct {
	counts [histogramBuckets]atomic.Int64
}

func (h *histogram) record(ns int64) { h.counts[bucketOf(ns)].Add(1) }

// count is the number of durations recorded.
func (h *histogram) count() (n int64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// quantile returns the duration that the share q of all does not exceed; 0
// when there are none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(q * float64(h.count()))
	seen := int64(0)
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen > rank || seen > 0 && q >= 1 && seen >= rank {
			return time.Duration(bucketTop(i))
		}
	}
	return 0
}

func bucketOf(ns int64) int {
	v := uint64(max(ns, 0))
	shift := max(bits.Len64(v)-histogramBits-1, 0)
	return min(shift<<histogramBits+int(v>>shift), histogramBuckets-1)
}

// bucketTop is the largest value that falls into bucket i.
func bucketTop(i int) int64 {
	if i < 2<<histogramBits {
		return int64(i)
	}
	shift := i>>histogramBits - 1
	mantissa := int64(i&(1<<histogramBits-1) | 1<<histogramBits)
	return (mantissa+1)<<shift - 1
}
