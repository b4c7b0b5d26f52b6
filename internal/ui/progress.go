package ui

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Terminal reports whether f is one.
func Terminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// Progress shows how far long work has come: a bar with bytes, rate and time
// left on a terminal, a line every ten seconds elsewhere, nothing when quiet.
type Progress struct {
	out   io.Writer
	what  string
	bar   *progressbar.ProgressBar
	every time.Duration

	mu      sync.Mutex
	start   time.Time
	last    time.Time
	stopped bool
}

// NewProgress shows progress on f.
func NewProgress(f *os.File, what string, quiet bool) *Progress {
	p := &Progress{out: f, what: what, every: 10 * time.Second, start: time.Now(), last: time.Now()}
	switch {
	case quiet:
		p.out = nil
	case Terminal(f):
		p.bar = progressbar.NewOptions64(1,
			progressbar.OptionSetWriter(f),
			progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(true),
			progressbar.OptionShowCount(),
			progressbar.OptionSetWidth(24),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionFullWidth(),
		)
	}
	return p
}

// Update may be called from many goroutines, as often as one likes; only the
// largest done counts.
func (p *Progress) Update(done, total int64) {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	now := time.Now()
	if p.bar != nil {
		if p.bar.GetMax64() != total {
			p.bar.ChangeMax64(total)
		}
		if done > p.bar.State().CurrentNum && done < total {
			_ = p.bar.Set64(done)
		}
		return
	}
	if now.Sub(p.last) < p.every {
		return
	}
	p.last = now
	fmt.Fprintln(p.out, line(p.what, done, total, now.Sub(p.start)))
}

// line is the form of progress for logs.
func line(what string, done, total int64, spent time.Duration) string {
	rate := float64(done) / max(spent.Seconds(), 1e-9)
	left := time.Duration(float64(total-done) / max(rate, 1) * float64(time.Second))
	return fmt.Sprintf("%s: %s of %s, %d %%, %s/s, %s left", what, Bytes(done), Bytes(total), 100*done/max(total, 1), Bytes(int64(rate)), Duration(left))
}

// Stop takes the bar away.
func (p *Progress) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
