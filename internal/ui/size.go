// Package ui shows people what is going on: sizes, tables, progress. Results go
// to standard output, progress and errors to standard error; control codes go
// to terminals only.
package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bytes writes a size in decimal units, as disks and shards are sold.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	x, units := float64(n), "kMGTPE"
	i := -1
	for x >= 999.5 && i < len(units)-1 {
		x /= 1000
		i++
	}
	if x >= 100 {
		return fmt.Sprintf("%.0f %cB", x, units[i])
	}
	return fmt.Sprintf("%.3g %cB", x, units[i])
}

// Count writes a number with thin groups of three: 671,026,419,200.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return sign + b.String()
}

// Parameters writes a parameter count as people say it: 671.0B, 37.6B, 5.8M.
func Parameters(n int64) string {
	switch {
	case n >= 1e12:
		return fmt.Sprintf("%.2fT", float64(n)/1e12)
	case n >= 1e9:
		return fmt.Sprintf("%.1fB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	}
	return Count(n)
}

// Duration writes a time to two units at most: 1h12m, 3m05s, 12.3s.
func Duration(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d >= 10*time.Second:
		return fmt.Sprintf("%.0fs", d.Seconds())
	}
	return fmt.Sprintf("%.2fs", d.Seconds())
}

// ParseBytes reads a size: "5GB", "5 GB", "512MiB", "1.5g", "1000000". Units of
// one letter and those with B are decimal, those with iB binary.
func ParseBytes(s string) (int64, error) {
	t := strings.ToLower(strings.TrimSpace(s))
	i := strings.IndexFunc(t, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if i < 0 {
		i = len(t)
	}
	x, err := strconv.ParseFloat(t[:i], 64)
	if err != nil {
		return 0, fmt.Errorf("size %q: not a number with a unit such as MB, GiB", s)
	}
	unit := strings.TrimSpace(t[i:])
	base, unit := 1000.0, strings.TrimSuffix(unit, "b")
	if strings.HasSuffix(unit, "i") {
		base, unit = 1024, strings.TrimSuffix(unit, "i")
	}
	powers := map[string]int{"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
	p, ok := powers[unit]
	if !ok {
		return 0, fmt.Errorf("size %q: unit %q is not one of B, KB, MB, GB, TB, KiB, MiB, GiB, TiB", s, strings.TrimSpace(t[i:]))
	}
	for range p {
		x *= base
	}
	if x < 0 || x > 1<<62 {
		return 0, fmt.Errorf("size %q is out of range", s)
	}
	return int64(x), nil
}
