package metrics

import (
	"fmt"
	"math/bits"
	"slices"
)

// Range is the summary of the tokens at some positions of their chunks.
type Range struct {
	From    int     `json:"from"` // the first position
	To      int     `json:"to"`   // the position after the last
	Summary Summary `json:"summary"`
}

// ranges is how many there are at most.
const ranges = 8

// ByPosition summarizes tokens by their position in the chunk that they stand in.
// positions has one for each token, from 0; context is the length of a chunk, and
// grows with positions beyond it.
//
// The ranges double, since what a model knows of a text grows with its logarithm,
// and end at powers of two, where methods of context extension change their
// behaviour: for 512 they are 0–3, 4–7, 8–15, …, 256–511. Ranges without tokens are
// left out. It panics when the lengths differ or a position is negative.
func ByPosition(tokens []Token, positions []int, context int) []Range {
	if len(tokens) != len(positions) {
		panic(fmt.Sprintf("metrics: %d tokens at %d positions", len(tokens), len(positions)))
	}
	if len(positions) > 0 {
		if least := slices.Min(positions); least < 0 {
			panic(fmt.Sprintf("metrics: position %d", least))
		}
		context = max(context, slices.Max(positions)+1)
	}
	// The first range ends at 2^shift, the last one at the power of two at or above
	// context or before.
	shift := max(0, bits.Len(uint(max(context, 1)-1))-(ranges-1))
	var parts [ranges][]Token
	for i, p := range positions {
		n := bits.Len(uint(p >> shift))
		parts[n] = append(parts[n], tokens[i])
	}
	var out []Range
	for n, part := range parts {
		if len(part) == 0 {
			continue
		}
		r := Range{To: min(1<<(shift+n), context), Summary: Summarize(part)}
		if n > 0 {
			r.From = 1 << (shift + n - 1)
		}
		out = append(out, r)
	}
	return out
}
