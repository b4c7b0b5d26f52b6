package ngram

import (
	"slices"
	"testing"

	"quern/internal/vec"
	"quern/runner/golden"
	"quern/runner/recur"
)

func TestQwen38(t *testing.T) {
	g := golden.Read(t, "testdata/qwen4_exp.safetensors")
	x := g.Get("ple.in.0")
	h := Hash{End: 2}
	for _, v := range []struct {
		to   *[]int64
		name string
	}{{&h.Sizes, "ngram_heads_vocab_sizes"}, {&h.Offsets, "ngram_heads_offsets"}} {
		for _, n := range g.Get("ple.ple_embedding." + v.name) {
			*v.to = append(*v.to, int64(n))
		}
	}
	// Two halves each: the file of the test holds no 64-bit integers.
	halves := g.Get("multipliers")
	for i := 0; i < len(halves); i += 4 {
		m := int64(0)
		for _, p := range halves[i : i+4] {
			m = m<<16 | int64(p)
		}
		h.Multipliers = append(h.Multipliers, m)
	}
	table := g.Get("ple.ple_embedding.ngram_embedding.weight")
	var tokens []int32
	for _, v := range g.Get("ple.in.1") {
		tokens = append(tokens, int32(v))
	}
	var e []float32
	for i := range tokens {
		rows := make([]int64, len(h.Sizes))
		h.Rows(rows, tokens[:i+1])
		short := make([]int64, len(h.Sizes))
		h.Rows(short, tokens[max(0, i-h.Context()):i+1])
		if !slices.Equal(rows, short) {
			t.Fatalf("token %d: rows %v of the whole text, %v of its end", i, rows, short)
		}
		for _, r := range rows {
			e = append(e, table[r*8:][:8]...)
		}
	}
	norm := func(name string, x []float32) []float32 {
		w, y := slices.Clone(g.Get("ple."+name+".weight")), make([]float32, len(x))
		for i := range w {
			w[i]++
		}
		for i := 0; i < len(x); i += 32 {
			vec.RMSNorm(y[i:i+32], x[i:i+32], w[i%128:][:32], 1e-6)
		}
		return y
	}
	key, query := norm("norm_key", g.Linear("ple.key_proj.weight", e)), norm("norm_query", x)
	value := g.Linear("ple.value_proj.weight", e)
	v := make([]float32, len(x))
	for i := range tokens {
		Gate(v[i*128:][:128], key[i*128:][:128], query[i*128:][:128], value[i*32:][:32])
	}
	c := recur.Conv{Channels: 128, Width: 4, Dilation: 3, Weight: g.Get("ple.conv1d.weight")}
	out := make([]float32, len(x))
	c.Rows(out, norm("norm_conv", v), make([]float32, c.StateSize()), 0, len(tokens))
	vec.Add(out, v)
	golden.Near(t, "output", out, g.Get("ple.out"), 2e-6)
}

// Tokens before an end of text do not count, and the end itself does not hide itself.
func TestEnds(t *testing.T) {
	h := Hash{Multipliers: []int64{3, 5, 7}, Sizes: []int64{101, 103}, Offsets: []int64{0, 101}, End: 2}
	row := func(tokens ...int32) []int64 {
		r := make([]int64, 2)
		h.Rows(r, tokens)
		return r
	}
	for _, c := range [][2][]int32{
		{{9, 2, 4}, {8, 2, 4}},
		{{4}, {2, 4}},
		{{2, 7, 4}, {7, 4}},
		{{2, 2}, {2}},
	} {
		if a, b := row(c[0]...), row(c[1]...); !slices.Equal(a, b) {
			t.Errorf("%v and %v choose %v and %v", c[0], c[1], a, b)
		}
	}
	if a, b := row(5, 7, 2), row(6, 7, 2); slices.Equal(a, b) {
		t.Error("an end of text hides what is before it from itself")
	}
	if a := row(4); a[0] != (4*3^2*5)%101 {
		t.Error(a)
	}
}
