package recur

import (
	"math"

	"quern/internal/vec"
)

// Layer is the shape of a mixer: where a convolved row holds what, and which rule
// its heads follow.
type Layer struct {
	KeyHeads, ValueHeads int
	Keys, Values         int // channels of one head
	// Q, K and V are where the first head's queries, keys and values begin in a row
	// of Width numbers: in Mamba-2 the values come first, then B (the keys), then C.
	Q, K, V, Width int
	// Delta says that a token's value is corrected by what the state already holds.
	Delta bool
	// Normalize divides q and k by their length and scales q by Keys^-½.
	Normalize bool
	// ByChannel says that each row of the state has a decay of its own.
	ByChannel bool
	// Skip is D of Mamba-2, one a value head, or nil.
	Skip []float32
}

// GatedDelta is the layer of Qwen3-Next and Qwen3.5, over rows [q | k | v].
func GatedDelta(keyHeads, valueHeads, keys, values int) Layer {
	k := keyHeads * keys
	return Layer{
		KeyHeads: keyHeads, ValueHeads: valueHeads, Keys: keys, Values: values,
		Q: 0, K: k, V: 2 * k, Width: 2*k + valueHeads*values, Delta: true, Normalize: true,
	}
}

// KimiDelta is the layer of Kimi Linear, Ling 3 and GLM-5.3, over rows [q | k | v].
func KimiDelta(heads, size int) Layer {
	l := GatedDelta(heads, heads, size, size)
	l.ByChannel = true
	return l
}

// Mamba2 is the layer of Nemotron-H, over rows [x | B | C].
func Mamba2(groups, heads, state, size int, skip []float32) Layer {
	v, g := heads*size, groups*state
	return Layer{
		KeyHeads: groups, ValueHeads: heads, Keys: state, Values: size,
		V: 0, K: v, Q: v + g, Width: v + 2*g, Skip: skip,
	}
}

// StateSize is how many numbers the state of all heads has. Head h has those from
// h·Keys·Values on.
func (l *Layer) StateSize() int { return l.ValueHeads * l.Keys * l.Values }

// decays is how many decays a head has a row.
func (l *Layer) decays() int {
	if l.ByChannel {
		return l.Keys
	}
	return 1
}

// Head advances one value head over n rows. rows are the convolved rows (Width apart),
// decay the decays (ValueHeads, or ValueHeads·Keys by channel, apart), rate the rates
// (ValueHeads apart), state the state of all heads. It writes its part of out (rows
// ValueHeads·Values apart). Heads may be computed side by side. scratch has Scratch
// numbers.
func (l *Layer) Head(h int, out, rows, decay, rate, state []float32, n int, scratch []float32) {
	d := l.decays()
	in := span{
		q: rows[l.Q+h/(l.ValueHeads/l.KeyHeads)*l.Keys:], k: rows[l.K+h/(l.ValueHeads/l.KeyHeads)*l.Keys:],
		v: rows[l.V+h*l.Values:], decay: decay[h*d:], rate: rate[h:], out: out[h*l.Values:],
	}
	size := l.Keys * l.Values
	s := state[h*size:][:size]
	for n > 0 {
		c := min(n, l.chunk())
		switch {
		case c < fewTokens:
			c = 1
			l.token(in, s, scratch)
		case !in.finite(l, c):
			// Within a chunk later tokens have the weight 0, which is none where they are
			// no numbers.
			rest := in
			for i := range c {
				l.token(rest, s, scratch)
				if i+1 < c {
					rest = rest.behind(l, 1)
				}
			}
		default:
			l.tokens(in, s, c, scratch)
		}
		if l.Skip != nil {
			for i := range c {
				vec.Axpy(in.out[i*l.ValueHeads*l.Values:][:l.Values], l.Skip[h], in.v[i*l.Width:][:l.Values])
			}
		}
		if n -= c; n > 0 {
			in = in.behind(l, c)
		}
	}
}

// span are the rows of one head.
type span struct{ q, k, v, decay, rate, out []float32 }

func (s span) behind(l *Layer, n int) span {
	return span{
		q: s.q[n*l.Width:], k: s.k[n*l.Width:], v: s.v[n*l.Width:],
		decay: s.decay[n*l.ValueHeads*l.decays():], rate: s.rate[n*l.ValueHeads:],
		out: s.out[n*l.ValueHeads*l.Values:],
	}
}

// finite reports whether n tokens are numbers.
func (s span) finite(l *Layer, n int) bool {
	bad := -1
	for i := 0; i < n && bad < 0; i++ {
		bad = max(
			vec.FirstNonFinite(s.q[i*l.Width:][:l.Keys]), vec.FirstNonFinite(s.k[i*l.Width:][:l.Keys]), vec.FirstNonFinite(s.v[i*l.Width:][:l.Values]),
			vec.FirstNonFinite(s.decay[i*l.ValueHeads*l.decays():][:l.decays()]), vec.FirstNonFinite(s.rate[i*l.ValueHeads:][:1]),
		)
	}
	return bad < 0
}

// fewTokens is below how many tokens a chunk costs more than the tokens do.
const fewTokens = 4

// chunk is how many tokens a chunk has: with decays by channel each pair of tokens
// costs three passes over the keys, so that small chunks are cheaper.
func (l *Layer) chunk() int {
	if l.ByChannel {
		return 16
	}
	return 32
}

// Scratch is how many numbers of scratch a head needs.
func (l *Layer) Scratch() int {
	c := l.chunk()
	return 3*c*l.Keys + 2*l.Keys + c*l.Values + 2*c*c
}

// normalized writes x, or what Normalize makes of it: x/√(Σx²+1e-6)·scale.
func (l *Layer) normalized(dst, x []float32, scale float32) {
	copy(dst, x[:l.Keys])
	if l.Normalize {
		vec.Scale(dst, float32(1/math.Sqrt(float64(vec.SumSquares(dst)+1e-6)))*scale)
	}
}

func (l *Layer) scale() float32 { return float32(1 / math.Sqrt(float64(l.Keys))) }
