package main

import "quern/internal/ui"

// phases is a progress bar for each thing that is done.
type phases struct {
	t     *terminal
	quiet bool
	what  string
	bar   *ui.Progress
	skip  int // layers that are passed over, each of which is told
}

func (p *phases) update(what string, done, total int64) {
	if what != p.what {
		p.stop()
		p.what, p.bar = what, p.t.progress(what, p.quiet)
	}
	if p.skip > 0 {
		p.skip--
		p.bar.Begin(done, total)
		return
	}
	p.bar.Update(done, total)
}

func (p *phases) stop() {
	if p.bar != nil {
		p.bar.Stop()
		p.bar = nil
	}
}
