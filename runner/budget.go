package runner

import "runtime"

// budget divides the memory of an evaluation: what the largest weights in use take comes
// first, for those cannot be cut, then hidden states if they leave enough of the rest, and
// scratch memory gets what remains.
type budget struct {
	memory int64 // of all
	left   int64 // without weights and states
	spill  bool  // states lie in files
}

// leastLeft is what scratch memory is counted upon in any case.
const leastLeft = 16 << 20

// budget of an evaluation of so many tokens.
func (m *Model) budget(memory int64, tokens int, mtp bool) budget {
	b := budget{memory: memory}
	layers := m.layers
	if m.mtp != nil && mtp {
		layers = append(layers[:len(layers):len(layers)], m.mtp.layer)
	}
	weights, choices := int64(0), 0
	for _, l := range layers {
		weights = max(weights, l.heaviest())
		if x := l.routed(); x != nil {
			choices = max(choices, x.router.topK)
		}
	}
	// Beside states and weights there are the lists of who chose which expert, and what
	// the program takes by itself.
	rest := memory - weights - memory/16 - 16*int64(choices)*int64(tokens)
	states := 4 * int64(tokens) * m.stateWidth(mtp)
	if b.spill = states > rest/2; !b.spill {
		rest -= states
	}
	b.left = max(rest, leastLeft)
	return b
}

// stateWidth is how many numbers wait for each token between blocks: its hidden states,
// what experts read, their sums, and of multi-token prediction states and embeddings.
func (m *Model) stateWidth(mtp bool) int64 {
	n := m.Width() + 2*m.hidden
	if m.mtp != nil && mtp {
		n += m.Width() + m.hidden
	}
	return int64(n)
}

// heaviest is the most that weights of the layer take at once: those of a block, with the
// expert at work and the next one.
func (l *layer) heaviest() int64 {
	most := int64(0)
	for _, b := range l.blocks {
		n := b.first.slab + b.behind.slab
		if x, ok := b.mixer.(*experts); ok {
			expert := int64(0)
			for _, p := range x.parts {
				expert = max(expert, p.slab)
			}
			n += 2 * expert
		}
		most = max(most, n)
	}
	return most
}

// much is from how many bytes on memory that was let go of is collected before as much is
// asked for again: the collector alone begins only then, and both would be there meanwhile.
const much = 8 << 20

// reclaim frees what was let go of, if it is much.
func reclaim(bytes int64) {
	if bytes >= much {
		runtime.GC()
	}
}

// rows is how many rows of so many numbers each may pass a mixer together.
func (b *budget) rows(width int) int { return int(min(b.left/4/(4*int64(width)), 1<<20)) }

// numbers is how many numbers of scratch memory there are beside those rows, for one
// purpose of two.
func (b *budget) numbers() int { return int(min(b.left/8/4, 8<<20)) }
