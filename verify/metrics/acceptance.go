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
// itself the rate is lower than what servers report. It panics when the lengths
// differ.
func Acceptance(draft, main []int) AcceptanceRate {
	if len(draft) != len(main) {
		panic(fmt.Sprintf("metrics: %d drafted tokens against %d", len(draft), len(main)))
	}
	a := AcceptanceRate{Tokens: len(draft)}
	for i := range draft {
		if draft[i] == main[i] {
			a.Accepted++
		}
	}
	m := share(a.Accepted, a.Tokens)
	a.Rate, a.Uncertainty = Figure(m.mean), Figure(m.err)
	return a
}
