package metrics

import "fmt"

// AcceptanceRate says how often the main model would have taken a drafted token.
type AcceptanceRate struct {
	Tokens      int    `json:"tokens"`
	Accepted    int    `json:"accepted"`
	Rate        Figure `json:"rate"`
	Uncertainty Figure `json:"uncertainty"`
}

// Acceptance is teacher-forced: draft and main are what MTP layer and main model
// predict for the same token, when both have read the true text before it. So with
// the MTP row i, which predicts token i+2, goes the main model's row i+1:
//
//	draft[i] = argmax MTP_i   main[i] = argmax main_{i+1}
//
// and rows of different texts are not mixed. On texts that the model has not written
// itself the rate is lower than what servers report. chunks number what the tokens stand
// in, as in [Token]; nil is one for all. It panics when the lengths differ.
func Acceptance(draft, main, chunks []int) AcceptanceRate {
	if len(draft) != len(main) || chunks != nil && len(chunks) != len(main) {
		panic(fmt.Sprintf("metrics: %d drafted tokens against %d in %d chunks", len(draft), len(main), len(chunks)))
	}
	a := AcceptanceRate{Tokens: len(draft)}
	for i := range draft {
		if draft[i] == main[i] {
			a.Accepted++
		}
	}
	m := share(a.Tokens, func(i int) bool { return draft[i] == main[i] }, numbered(chunks))
	a.Rate, a.Uncertainty = Figure(m.mean), Figure(m.err)
	return a
}

// Drop is how much less of what it drafts a model accepts than its baseline, of the same
// tokens, with its standard error: that of the differences token by token, which is far
// below those of the two rates.
func Drop(draft, main [2][]int, chunks []int) (drop, uncertainty Figure) {
	accepted := func(side, i int) float64 {
		if draft[side][i] == main[side][i] {
			return 1
		}
		return 0
	}
	m := measure(len(draft[0]), func(i int) float64 { return accepted(0, i) - accepted(1, i) }, numbered(chunks))
	return Figure(m.mean), Figure(m.err)
}

// numbered are the chunks of tokens; nil is one for all.
func numbered(chunks []int) func(i int) int {
	if chunks == nil {
		return func(int) int { return 0 }
	}
	return func(i int) int { return chunks[i] }
}
