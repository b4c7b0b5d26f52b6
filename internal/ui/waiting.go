package ui

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// Waiting shows that something goes on of which nobody knows how long it takes: on a
// terminal what it is and for how long, elsewhere a line every ten seconds. Nothing is
// shown of what is over at once.
type Waiting struct {
	out  *os.File
	live bool

	mu    sync.Mutex
	what  string
	since time.Time
	shown bool
	done  chan struct{}
}

// silence is how long a person is left without a word.
const silence = 300 * time.Millisecond

// Wait begins to show on f, unless quiet. It ends with Stop.
func Wait(f *os.File, quiet bool) *Waiting {
	w := &Waiting{out: f, live: Terminal(f), since: time.Now(), done: make(chan struct{})}
	if quiet {
		return w
	}
	every := 10 * time.Second
	if w.live {
		every = silence
	}
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-w.done:
				return
			case <-tick.C:
				w.show()
			}
		}
	}()
	return w
}

// For says what is waited for now.
func (w *Waiting) For(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.what, w.since = what, time.Now()
}

func (w *Waiting) show() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.done:
		return
	default:
	}
	if w.what == "" {
		return
	}
	w.shown = true
	spent := Duration(time.Since(w.since).Round(100 * time.Millisecond))
	if w.live {
		fmt.Fprintf(w.out, "\r\x1b[K%s: %s", w.what, spent)
		return
	}
	fmt.Fprintf(w.out, "%s: %s\n", w.what, spent)
}

// Stop takes it away.
func (w *Waiting) Stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.done:
		return
	default:
	}
	close(w.done)
	if w.shown && w.live {
		fmt.Fprint(w.out, "\r\x1b[K")
	}
}
