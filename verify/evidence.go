package verify

import (
	"fmt"
	"math"

	"quern/internal/ui"
)

// The gate evidence says whether so few tokens were scored that the limits asked mean
// nothing: five tokens on which two models agree do not show that they agree on 95 of
// 100. A limit can be held when the interval in which a figure lies, 95 times of 100,
// is no wider to either side than what the limit allows: 0.02 nats, 5 % of the tokens.
// Where it is wider, a gate that would pass is not passed; one that fails has failed.

// leastTokens is how many an interval of a mean has to be made of at least.
const leastTokens = 30

// room is what the limit of a gate of behaviour allows.
func (g *Gate) room() float64 {
	if g.Name == "same_top" {
		return 1 - g.Limit
	}
	return g.Limit
}

// needs is about how many tokens the limit of a gate asks for, judged by the
// uncertainty of those that there are.
func (r *Report) needs(g *Gate) int {
	n, room := float64(r.scoredFor(g)), g.room()
	if !(room > 0) { // nothing is allowed: one token decides
		return 1
	}
	if n < 2 || g.Uncertainty == nil || math.IsNaN(float64(*g.Uncertainty)) {
		return leastTokens
	}
	margin := student(r.freedom(int(n))) * max(float64(*g.Uncertainty), r.least(g, n))
	return int(max(math.Ceil(n*(margin/room)*(margin/room)), leastTokens))
}

// least is the uncertainty that a share of n tokens has at least: that with one more
// token of the rare kind, for none of n does not say that there are none.
func (r *Report) least(g *Gate, n float64) float64 {
	rare := 0.0
	switch g.Name {
	case "same_top":
		rare = 1 - g.Value
	case "mtp_drop":
		rare = math.Abs(g.Value)
	default:
		return 0
	}
	p := (rare*n + 1) / (n + 2)
	return math.Sqrt(max(p*(1-p), 0) / n)
}

// scoredFor is how many tokens a gate is about.
func (r *Report) scoredFor(g *Gate) int {
	if g.Name == "mtp_drop" {
		return r.MTP.Tokens
	}
	return r.Metrics.Tokens
}

// freedom is how many independent parts an uncertainty comes from, less one.
func (r *Report) freedom(tokens int) int {
	if r.Metrics.Chunks > 1 {
		return r.Metrics.Chunks - 1
	}
	return tokens - 1
}

// student is the quantile 97.5 % of Student's distribution.
func student(freedom int) float64 {
	few := []float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262}
	if freedom < 1 {
		return few[0]
	}
	if freedom <= len(few) {
		return few[freedom-1]
	}
	return 1.96 + 2.4/float64(freedom) + 3.7/float64(freedom*freedom)
}

// weigh sets, of the gates of behaviour that would pass, those that lack evidence to
// undecided, and judges the gate evidence.
func (r *Report) weigh() {
	if r.Metrics == nil {
		return
	}
	least, tokens, lacking := 0, math.MaxInt, ""
	for _, name := range behaviourGates {
		g := r.gate(name)
		if g == nil || g.Skipped != "" || g.settled {
			continue
		}
		n, needs := r.scoredFor(g), r.needs(g)
		g.Undecided = ""
		if needs > n && g.Passed {
			g.Undecided = fmt.Sprintf("too few tokens: it needs about %s", ui.Count(int64(needs)))
			lacking += ", " + name
		}
		least, tokens = max(least, needs), min(tokens, n)
	}
	g := r.gate("evidence")
	if g == nil || g.Skipped != "" || g.settled {
		return
	}
	if !r.asked {
		g.Limit = float64(least)
	}
	g.Value, g.Passed, g.Undecided = float64(tokens), true, ""
	switch {
	case tokens == math.MaxInt: // all are switched off
		g.Value = float64(r.Metrics.Tokens)
	case g.Value < g.Limit:
		g.Undecided = fmt.Sprintf("%s tokens scored, the limits need about %s", ui.Count(int64(tokens)), ui.Count(int64(g.Limit)))
		if lacking != "" {
			g.Undecided += ": nothing is proved by " + lacking[2:]
		}
	}
}

// gate finds a gate; nil if there is none.
func (r *Report) gate(name string) *Gate {
	for i := range r.Gates {
		if r.Gates[i].Name == name {
			return &r.Gates[i]
		}
	}
	return nil
}

// Require makes a gate that was not checked, is not part of this run or lacks evidence
// a failure.
func (r *Report) Require(name string) {
	g := r.gate(name)
	if g == nil {
		r.Add(Gate{Name: name, Failures: []string{"required, but no part of this run: " + wanting(name)}})
		return
	}
	why := g.Skipped
	if why == "" {
		why = g.Undecided
	}
	if why != "" {
		g.Passed, g.Skipped, g.Undecided, g.settled = false, "", "", true
		g.Failures = []string{"required, but not decided: " + why}
	}
	r.Add()
}

// wanting says what a run needs for a gate.
func wanting(name string) string {
	for _, g := range table {
		switch {
		case g.name == name && g.needs == against:
			return "it needs --baseline"
		case g.name == name:
			return "no checkpoint was looked at"
		}
	}
	if name == "engines" {
		return "it needs --engine"
	}
	if name == "activations" {
		return "it needs --baseline with --text, and static scales in the checkpoint"
	}
	return "it needs two models on a text: --baseline with --text, or --reference"
}
