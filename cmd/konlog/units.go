package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// byteUnits are the units of a size, the longest suffix first.
var byteUnits = []struct {
	suffix string
	bytes  int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// parseBytes reads a size such as "64MiB", "1.5GB" or "4096". 0 is allowed and
// means no limit where a setting says so.
func parseBytes(s string) (int64, error) {
	text, unit := strings.TrimSpace(s), int64(1)
	for _, u := range byteUnits {
		if n := len(text) - len(u.suffix); n > 0 && strings.EqualFold(text[n:], u.suffix) {
			text, unit = strings.TrimSpace(text[:n]), u.bytes
			break
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n < 0 || n > math.MaxInt64/unit {
			return 0, fmt.Errorf("size %q is out of range", s)
		}
		return n * unit, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.ContainsAny(text, "xXpP_eEnN") {
		return 0, fmt.Errorf("size %q: write a number with B, KB, MB, GB, TB, KiB, MiB, GiB or TiB", s)
	}
	if f *= float64(unit); f < 0 || f >= math.MaxInt64 {
		return 0, fmt.Errorf("size %q is out of range", s)
	}
	return int64(f), nil
}

// formatBytes writes n in the largest unit that divides it.
func formatBytes(n int64) string {
	for _, u := range byteUnits[:4] {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// roughBytes writes n for people, with three digits.
func roughBytes(n int64) string {
	for _, u := range byteUnits[:4] {
		if n >= u.bytes {
			return fmt.Sprintf("%.3g %s", float64(n)/float64(u.bytes), u.suffix)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// count writes a number of things: "1 event", "2 events".
func count[N ~int | ~int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

const day = 24 * time.Hour

// parseDuration reads what time.ParseDuration reads, and days: "90d", "1d12h".
func parseDuration(s string) (time.Duration, error) {
	text, days := strings.TrimSpace(s), time.Duration(0)
	if before, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseInt(before, 10, 64)
		if err != nil || n < 0 || n > int64(math.MaxInt64/day)-1 || strings.HasPrefix(after, "-") || strings.HasPrefix(after, "+") {
			return 0, durationError(s)
		}
		if days = time.Duration(n) * day; after == "" {
			return days, nil
		}
		text = after
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > math.MaxInt64-days {
		return 0, durationError(s)
	}
	return days + d, nil
}

func durationError(s string) error {
	return fmt.Errorf("duration %q: write it like 500ms, 10s, 5m, 24h or 90d", s)
}

// formatDuration is the inverse of parseDuration, without units that are zero.
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	text := ""
	if days := d / day; days > 0 {
		text = strconv.FormatInt(int64(days), 10) + "d"
		d %= day
	}
	if d == 0 {
		return text
	}
	rest := d.String()
	if strings.HasSuffix(rest, "m0s") {
		rest = rest[:len(rest)-2]
	}
	if strings.HasSuffix(rest, "h0m") {
		rest = rest[:len(rest)-2]
	}
	return text + rest
}
