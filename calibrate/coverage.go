package calibrate

import (
	"cmp"
	"slices"

	"quern/calibrate/file"
)

// Coverage says which experts the texts reached, and which they hardly did.
type Coverage struct {
	// Threshold is the number of tokens below which an expert counts as hardly reached.
	Threshold int64 `json:"threshold"`
	Tokens    int64 `json:"tokens"` // of the texts
	// AllExperts: inputs of experts were measured with every token, so that those that
	// the router never chose have statistics too, of tokens that are not theirs.
	AllExperts bool  `json:"all_experts"`
	Experts    int64 `json:"experts"`              // of all layers
	Never      int64 `json:"never"`                // of these, those that no token chose
	Few        int64 `json:"fewer_than_threshold"` // those that fewer than Threshold did, Never included
	Treatment  struct {
		Never string `json:"never"`
		Few   string `json:"few"`
	} `json:"treatment"`
	Layers []LayerCoverage `json:"layers"`
}

// LayerCoverage is the coverage of a layer.
type LayerCoverage struct {
	Layer   int              `json:"layer"`
	MTP     bool             `json:"mtp,omitempty"`
	Least   int64            `json:"least"` // tokens of the expert with the fewest
	Median  int64            `json:"median"`
	Most    int64            `json:"most"`
	Never   int64            `json:"never"`
	Few     int64            `json:"fewer_than_threshold"`
	Experts []ExpertCoverage `json:"experts"` // those that fewer than the threshold chose, fewest first
}

// ExpertCoverage is an expert that few tokens reached.
type ExpertCoverage struct {
	Expert int   `json:"expert"`
	Tokens int64 `json:"tokens"`
	// Texts are those whose tokens chose it, by the share of their tokens: more like
	// the first would reach it. Nil where loads by text are not known.
	Texts []TextShare `json:"texts,omitempty"`
}

// TextShare is a text, and how much of it chose an expert.
type TextShare struct {
	Text   string  `json:"text"`
	Tokens int64   `json:"tokens"`
	Share  float64 `json:"share"` // of the text's tokens
}

// What is done for experts without data, or with little. (Other tools write NaN or
// invented scales for them; see docs/calibrate.md.)
const (
	neverTreatment = "scales of weights need no data: all channels count alike in the search for them; a static input scale is the largest of the layer's other experts, and is marked"
	fewTreatment   = "their own statistics, of few tokens"
	allTreatment   = "statistics of tokens that the router sent elsewhere (--all-experts)"
)

// Cover makes the coverage of a calibration. It fails only when the file cannot be
// read any more.
func Cover(f *file.File, threshold int64) (*Coverage, error) {
	info := f.Info()
	c := &Coverage{Threshold: threshold, Tokens: info.Tokens(), AllExperts: info.Options.AllExperts, Layers: []LayerCoverage{}}
	c.Treatment.Never, c.Treatment.Few = neverTreatment, fewTreatment
	if c.AllExperts {
		c.Treatment.Never, c.Treatment.Few = allTreatment, allTreatment
	}
	for _, number := range f.Layers() {
		load := f.Load(number)
		l := LayerCoverage{Layer: number, MTP: slices.Contains(info.MTPLayers, number), Experts: []ExpertCoverage{}}
		sorted := slices.Sorted(slices.Values(load))
		l.Least, l.Median, l.Most = sorted[0], sorted[len(sorted)/2], sorted[len(sorted)-1]
		byText := f.TextLoads(number)
		for e, n := range load {
			if n >= threshold {
				continue
			}
			l.Few++
			if n == 0 {
				l.Never++
			}
			l.Experts = append(l.Experts, ExpertCoverage{Expert: e, Tokens: n, Texts: shares(info.Texts, byText, e)})
		}
		slices.SortStableFunc(l.Experts, func(a, b ExpertCoverage) int { return cmp.Compare(a.Tokens, b.Tokens) })
		c.Experts += int64(len(load))
		c.Never += l.Never
		c.Few += l.Few
		c.Layers = append(c.Layers, l)
	}
	return c, f.Err()
}

// shares lists the texts that reached an expert.
func shares(texts []file.Text, loads [][]int64, expert int) []TextShare {
	var out []TextShare
	for i, load := range loads {
		if n := load[expert]; n > 0 {
			out = append(out, TextShare{texts[i].Name, n, float64(n) / float64(texts[i].Tokens)})
		}
	}
	slices.SortStableFunc(out, func(a, b TextShare) int { return cmp.Compare(b.Share, a.Share) })
	return out
}
