package report

import (
	"fmt"
	"math"

	"quern/internal/page"
	"quern/shard/placement"
)

// names are what algorithms are called in sentences.
var names = map[placement.Algorithm]string{placement.Contiguous: "index order", placement.EPLB: "EPLB", placement.Quern: "quern"}

// measure is one of the things that are measured of a placement.
type measure struct {
	name    string // as a heading
	as      string // in sentences, with a verb for the %s of each algorithm
	of      func(placement.Metrics) *float64
	lower   string // what a lower and a higher value is called
	greater string
}

// measures are those that c has.
func measures(c *placement.Comparison) []measure {
	list := []measure{{
		"balance", "the fullest rank has %s times the mean load",
		func(m placement.Metrics) *float64 {
			if m.Balance <= 0 {
				return nil
			}
			return &m.Balance
		},
		"better balanced", "less balanced",
	}}
	if c.Split == nil {
		return list
	}
	list = append(list, measure{
		"ranks per token", "a token is sent to %s ranks", func(m placement.Metrics) *float64 { return m.Fanout },
		"fewer ranks per token", "more ranks per token",
	})
	if c.Placement.Config.Nodes > 1 {
		list = append(list, measure{
			"nodes per token", "a token is sent to %s nodes", func(m placement.Metrics) *float64 { return m.NodeFanout },
			"fewer nodes per token", "more nodes per token",
		})
	}
	return list
}

// judgement is the verdict in words.
type judgement struct {
	Class string // "better", "worse", or "" where it is neither
	Word  string
	Text  []string
}

// verdict compares the placement that was asked for with the one that engines begin
// with, and gives the means of all.
func verdict(c *placement.Comparison) judgement {
	chosen := c.Placement.Config.Algorithm
	var j judgement
	var words []string
	better, worse := false, false
	for _, m := range measures(c) {
		x, base := m.of(c.Mean[chosen]), m.of(c.Mean[placement.Contiguous])
		if x == nil || base == nil {
			continue
		}
		others := ""
		for _, a := range placement.Algorithms {
			if a == chosen {
				continue
			}
			if others != "" {
				others += " and "
			}
			others += figureOf(m.of(c.Mean[a])) + " with " + names[a]
		}
		j.Text = append(j.Text, capital(fmt.Sprintf(m.as, figureOf(x)))+" with "+names[chosen]+", "+others+".")
		// What looks the same in the figures is not told apart.
		switch a, b := math.Round(*x*1000), math.Round(*base*1000); {
		case a < b:
			better = true
			words = append(words, m.lower)
		case a > b:
			worse = true
			words = append(words, m.greater)
		}
	}
	switch {
	case len(j.Text) == 0:
		j.Word = "Nothing was counted: experts are in index order"
		j.Text = []string{"Balance and fan-out are not known."}
		return j
	case chosen == placement.Contiguous:
		j.Word = "Experts in index order, as engines place them"
	case len(words) == 0:
		j.Word = "No better and no worse than index order"
	default:
		j.Word = capital(page.List(words)) + " than index order"
	}
	switch {
	case better && !worse:
		j.Class = "better"
	case worse && !better:
		j.Class = "worse"
	}
	on := "Means over the layers, of the loads that the placements were made from."
	if c.Split != nil {
		on = "Means over the layers, on the held-out part of the trace."
	}
	j.Text = append(j.Text, on)
	return j
}

// keyFigures are the means of the placement that was asked for, beside the others.
func keyFigures(c *placement.Comparison) []fact {
	var list []fact
	for _, m := range measures(c) {
		f := fact{Term: m.name, Text: figureOf(m.of(c.Mean[c.Placement.Config.Algorithm]))}
		for _, a := range placement.Algorithms {
			if a == c.Placement.Config.Algorithm {
				continue
			}
			if f.Note != "" {
				f.Note += ", "
			}
			f.Note += names[a] + " " + figureOf(m.of(c.Mean[a]))
		}
		list = append(list, f)
	}
	return list
}
