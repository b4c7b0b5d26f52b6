package ui

import (
	"encoding/json"
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

// ProgressForm is how progress is shown.
type ProgressForm string

// "" and auto are a bar on a terminal and lines elsewhere.
const (
	ProgressAuto  ProgressForm = "auto"
	ProgressBar   ProgressForm = "bar"
	ProgressLines ProgressForm = "lines"
	ProgressJSON  ProgressForm = "json"
	ProgressNone  ProgressForm = "none"
)

// Progress shows how far long work has come: a bar with bytes, rate and time
// left, a line every ten seconds, an object every second, or nothing.
type Progress struct {
	out   io.Writer
	what  string
	bar   *progressbar.ProgressBar
	every time.Duration
	event bool // lines are objects

	mu          sync.Mutex
	start       time.Time
	last        time.Time
	done, total int64
	from        int64     // what was done before
	begun       time.Time // when the rest was begun
	stopped     bool
}

// NewProgress shows progress on f.
func NewProgress(f *os.File, what string, form ProgressForm) *Progress {
	p := &Progress{out: f, what: what, every: 10 * time.Second, start: time.Now(), last: time.Now(), begun: time.Now()}
	if form == ProgressAuto || form == "" {
		form = ProgressLines
		if Terminal(f) {
			form = ProgressBar
		}
	}
	switch form {
	case ProgressNone:
		p.out = nil
	case ProgressJSON:
		p.event, p.every = true, time.Second
		p.emit()
	case ProgressBar:
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

// emit writes how far it is as an object on a line.
func (p *Progress) emit() {
	raw, err := json.Marshal(struct {
		Event   string  `json:"event"`
		What    string  `json:"what"`
		Done    int64   `json:"done"`
		Total   int64   `json:"total"`
		Seconds float64 `json:"seconds"`
	}{"progress", p.what, p.done, p.total, time.Since(p.start).Seconds()})
	if err == nil {
		fmt.Fprintf(p.out, "%s\n", raw)
	}
}

// Begin says how much of the work was done before, by a run that was cut: the bar begins
// there, and the time left goes by what is done from now on.
func (p *Progress) Begin(done, total int64) {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	p.from, p.done, p.total, p.begun = done, done, total, time.Now()
	if p.event {
		p.emit()
	}
	if p.bar == nil || done <= 0 || done >= total {
		return
	}
	// The bar takes each step for work just done, but for the one of Finish, which must
	// not be seen.
	p.bar.StartWithoutRender()
	progressbar.OptionSetVisibility(false)(p.bar)
	p.bar.ChangeMax64(done)
	_ = p.bar.Finish()
	p.bar.ChangeMax64(total)
	progressbar.OptionSetVisibility(true)(p.bar)
}

// measured is how long the rest has to be under way before its pace is known: until then
// a bar that begins in the middle is not shown.
const measured = 600 * time.Millisecond

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
	p.done, p.total = max(p.done, done), total
	if p.bar != nil {
		if p.from > 0 && now.Sub(p.begun) < measured {
			return
		}
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
	if p.event {
		p.emit()
		return
	}
	fmt.Fprintln(p.out, line(p.what, p.from, done, total, now.Sub(p.begun)))
}

// line is the form of progress for logs.
func line(what string, from, done, total int64, spent time.Duration) string {
	rate := float64(done-from) / max(spent.Seconds(), 1e-9)
	left := time.Duration(float64(total-done) / max(rate, 1) * float64(time.Second))
	return fmt.Sprintf("%s: %s of %s, %d %%, %s/s, %s left", what, Bytes(done), Bytes(total), 100*done/max(total, 1), Bytes(int64(rate)), Duration(left))
}

// Stop takes the bar away. As objects, the last says how far it came.
func (p *Progress) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.event && !p.stopped {
		p.emit()
	}
	p.stopped = true
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
