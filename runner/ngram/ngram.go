// Package ngram holds the hashed n-gram embeddings of Qwen3.8 (PLE): rows of large
// tables, chosen by the last tokens, that are gated by the residual streams and added
// to them.
//
// For a token and n = 2…Size, with t_s the token s places before it:
//
//	id = (t_0·m_0 ⊕ … ⊕ t_{n−1}·m_{n−1}) mod size_h + offset_h     in 64 bits, signed; 0 ≤ mod
//
// for each head h of n: heads of n = 2 first. A token beyond the one behind the last
// end-of-text token, or beyond the text, counts as end-of-text. The rows of all heads,
// side by side, are e. With the streams x_s of H channels, norms that multiply by 1+w:
//
//	g_s = rms(key_proj(e)_s)·rms(x_s) / √H, then sign(g)·√max(|g|, 1e-6)
//	v_s = sigmoid(g_s)·value_proj(e)
//	x  += v + silu(conv(rms(v_s)))        depthwise, dilated by Size (recur.Conv)
//
// Formulas: transformers 5.24.0, models/qwen4_exp; held against it in testdata. The
// multipliers, sizes and offsets are tensors of the checkpoint.
package ngram

import "math"

// Hash chooses rows of a table.
type Hash struct {
	Multipliers    []int64 // one a place: as many as the longest n-gram has tokens
	Sizes, Offsets []int64 // of heads, those of 2-grams first
	End            int64   // the token that ends a text
}

// Context is how many tokens before a token matter.
func (h *Hash) Context() int { return len(h.Multipliers) - 1 }

// Rows writes the row of each head for the last of tokens. tokens are the text up to
// it, or its last Context()+1 tokens if it has more.
func (h *Hash) Rows(dst []int64, tokens []int32) {
	per := len(h.Sizes) / h.Context()
	last := len(tokens) - 1
	mixed := int64(tokens[last]) * h.Multipliers[0]
	ended := false
	for s := 1; s <= h.Context(); s++ {
		t := h.End
		if ended = ended || last < s || int64(tokens[last-s]) == h.End; !ended {
			t = int64(tokens[last-s])
		}
		mixed ^= t * h.Multipliers[s]
		for i := (s - 1) * per; i < s*per; i++ {
			m := mixed % h.Sizes[i]
			if m < 0 {
				m += h.Sizes[i]
			}
			dst[i] = m + h.Offsets[i]
		}
	}
}

// Gate writes the gated values of all streams: key and query are normed rows of
// streams, value a row of one. dst may be key.
func Gate(dst, key, query, value []float32) {
	n := len(value)
	for at := 0; at < len(key); at += n {
		g := 0.0
		for i := range n {
			g += float64(key[at+i]) * float64(query[at+i])
		}
		g /= math.Sqrt(float64(n))
		root := math.Sqrt(max(math.Abs(g), 1e-6))
		switch {
		case g < 0:
			root = -root
		case g == 0:
			root = 0
		}
		share := float32(1 / (1 + math.Exp(-root)))
		for i, v := range value {
			dst[at+i] = share * v
		}
	}
}
