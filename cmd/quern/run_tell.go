package main

import (
	"fmt"

	"quern/internal/ui"
	"quern/runner"
)

// tell says how it went, on standard error: standard output has the text alone.
func (t *terminal) tell(g *generation, o runner.GenerateOptions, stats bool) {
	s := &g.Stats
	fmt.Fprintf(t.err, "%s, %.1f tokens/s; prompt of %s in %s\n", count(s.Tokens, "token"), s.Speed(), count(s.PromptTokens, "token"), seconds(s.PromptTime))
	if o.Draft > 0 {
		t.tellDrafts(s)
	}
	if !stats {
		return
	}
	var rows [][]string
	add := func(name, format string, args ...any) {
		rows = append(rows, []string{name, fmt.Sprintf(format, args...)})
	}
	add("passes of the model", "%d, %.2f tokens each", s.Passes, float64(max(s.Tokens-1, 0))/float64(max(s.Passes, 1)))
	if o.Draft > 0 {
		add("acceptance", "%.1f %% of %d drafted tokens", 100*s.Acceptance(), s.Drafted)
		for i, n := range s.Accepted {
			add(fmt.Sprintf("  position %d", i+1), "%.1f %% of %d drafts", 100*float64(n)/float64(max(s.Drafts, 1)), s.Drafts)
		}
		add("mean acceptance length", "%.2f, the model's own token included", s.Length())
	}
	if k := s.Cost; k.Known() {
		pass, draft := k.Of(runner.Seconds)
		add("a pass with a draft, a draft", "%.2f and %.2f of the time of a plain pass: pays above %.2f tokens", pass, draft, pass+draft)
		pass, draft = k.Of(runner.Bytes)
		add("  their weights", "%.2f and %.2f of those of a plain pass", pass, draft)
	}
	if n := s.CacheHits + s.CacheMisses; n > 0 {
		add("experts found in memory", "%.1f %% of %s", 100*float64(s.CacheHits)/float64(n), ui.Count(int64(n)))
	}
	add("weights in memory", "%s", ui.Bytes(s.ResidentSize))
	if s.Time > 0 {
		add("weights used", "%.2f GB/s", float64(s.BytesUsed)/s.Time/1e9)
		add("weights read from files", "%.2f GB/s", float64(s.BytesRead)/s.Time/1e9)
	}
	if w := g.Without; w != nil && w.Time > 0 && s.Time > 0 {
		add("speed", "%.1f tokens/s with drafting, %.1f without: %.2f×", s.Speed(), w.Speed(), s.Speed()/max(w.Speed(), 1e-9))
	}
	ui.Table(t.err, []string{"generation", ""}, rows)
}

// tellDrafts says what drafting was worth.
func (t *terminal) tellDrafts(s *runner.Statistics) {
	if s.Drafted == 0 {
		return
	}
	fmt.Fprintf(t.err, "drafting: %.0f %% of %s kept", 100*s.Acceptance(), count(s.Drafted, "token"))
	switch gain := s.SpeedUp(); {
	case s.Ended > 0: // what was judged are the last drafts, not all
		pass, draft := s.Cost.Of(runner.Seconds)
		fmt.Fprintf(t.err, "; ended after %s, for it did not pay for this model and machine: %.2f plain tokens of time for a pass with a draft\n", count(s.Ended, "token"), pass+draft)
	case gain == 0:
		fmt.Fprintln(t.err)
	case gain < 1:
		fmt.Fprintf(t.err, "; %.2f of the speed without: it does not pay for this model and machine (--draft auto ends it)\n", gain)
	default:
		fmt.Fprintf(t.err, "; %.2f× the speed without, %s ahead\n", gain, count(s.Draft, "token"))
	}
}

func seconds(s float64) string { return fmt.Sprintf("%.2f s", s) }
