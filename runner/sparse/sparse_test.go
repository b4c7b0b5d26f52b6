package sparse

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"quern/internal/vec"
	"quern/runner/golden"
)

func ids(x []float32) []int32 {
	var out []int32
	for _, v := range x {
		out = append(out, int32(v))
	}
	return out
}

// The choice among ties is torch's.
func TestTies(t *testing.T) {
	g := golden.Read(t, "testdata/ties.safetensors")
	var s Selector
	for _, c := range [][2]int{{5, 2}, {12, 8}, {40, 8}, {48, 8}, {48, 4}, {300, 4}, {700, 8}, {1024, 64}, {2000, 700}, {4500, 64}} {
		name := fmt.Sprintf("%d.%d", c[0], c[1])
		scores, want := g.Get(name+".scores"), ids(g.Get(name+".top"))
		for r := range len(scores) / c[0] {
			if got := s.Top(nil, scores[r*c[0]:][:c[0]], c[1]); !slices.Equal(got, want[r*c[1]:][:c[1]]) {
				t.Errorf("%s: row %d: %v, want %v", name, r, got, want[r*c[1]:][:c[1]])
			}
		}
	}
}

// Without ties the choice is that of sorting.
func TestTopTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var s Selector
	for range 300 {
		n := 1 + r.IntN(500)
		k := 1 + r.IntN(n)
		scores := make([]float32, n)
		for i := range scores {
			scores[i] = float32(r.NormFloat64())
			if r.IntN(4) == 0 {
				scores[i] = float32(math.Inf(-1))
			}
		}
		var order []int32
		for i, v := range scores {
			if !math.IsInf(float64(v), -1) {
				order = append(order, int32(i))
			}
		}
		sort.Slice(order, func(a, b int) bool { return scores[order[a]] > scores[order[b]] })
		order = order[:min(k, len(order))]
		slices.Sort(order)
		if got := s.Top([]int32{7}, scores, k)[1:]; !slices.Equal(got, order) {
			t.Fatalf("%d of %d: %v, want %v", k, n, got, order)
		}
	}
}

// rotate turns 2·d channels, from first on, of each of a row's heads.
func rotate(x []float32, heads, size, first int, cos, sin []float32, pairs bool, d int) {
	for i := 0; i < len(x); i += size {
		p := i / (heads * size)
		c, s := cos[p*d:][:d], sin[p*d:][:d]
		if pairs {
			vec.RotateInterleaved(x[i+first:][:2*d], c, s)
		} else {
			vec.Rotate(x[i+first:][:2*d], c, s)
		}
	}
}

// halves keeps the first half of each row: transformers stores angles twice.
func halves(x []float32, width int) []float32 {
	var out []float32
	for i := 0; i < len(x); i += width {
		out = append(out, x[i:i+width/2]...)
	}
	return out
}

func TestDSA(t *testing.T) {
	for _, c := range []struct {
		file   string
		pairs  bool
		layers []string
	}{{"deepseek_v32", false, []string{"indexer", "second", "third", "fourth"}}, {"glm_moe_dsa", true, []string{"indexer"}}} {
		g := golden.Read(t, "testdata/"+c.file+".safetensors")
		for _, name := range c.layers {
			x, latent := g.Get(name+".in.0"), g.Get(name+".in.1")
			n := len(x) / 32
			cos, sin := halves(g.Get(name+".in.2.0"), 8), halves(g.Get(name+".in.2.1"), 8)
			q, k := g.Linear(name+".wq_b.weight", latent), g.Linear(name+".wk.weight", x)
			for i := range n {
				vec.LayerNorm(k[i*16:][:16], k[i*16:][:16], g.Get(name+".k_norm.weight"), g.Get(name+".k_norm.bias"), 1e-6)
			}
			rotate(q, 4, 16, 0, cos, sin, c.pairs, 4)
			rotate(k, 1, 16, 0, cos, sin, c.pairs, 4)
			w := g.Linear(name+".weights_proj.weight", x)
			ix := Indexer{Heads: 4, Size: 16}
			scratch := make([]float32, ix.Scratch())
			want := ids(g.Get(name + ".out"))
			var s Selector
			for i := range n {
				scores := make([]float32, n)
				ix.Score(scores[:i+1], q[i*64:], w[i*4:], k, scratch)
				for j := i + 1; j < n; j++ {
					scores[j] = float32(math.Inf(-1))
				}
				var visible []int32
				for _, v := range want[i*8:][:8] {
					if int(v) <= i {
						visible = append(visible, v)
					}
				}
				slices.Sort(visible)
				if got := s.Top(nil, scores, 8); !slices.Equal(got, visible) {
					t.Errorf("%s: %s: token %d chooses %v, want %v", c.file, name, i, got, visible)
				}
			}
		}
	}
}

func TestScoreTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	ix := Indexer{Heads: 5, Size: 24}
	q, w := make([]float32, 5*24), make([]float32, 5)
	const n = 1200
	keys, got, want := make([]float32, n*24), make([]float32, n), make([]float32, n)
	for _, s := range [][]float32{q, w, keys} {
		for i := range s {
			s[i] = float32(r.NormFloat64())
		}
	}
	for s := range n {
		sum := 0.0
		for h := range 5 {
			dot := 0.0
			for i := range 24 {
				dot += float64(q[h*24+i]) * float64(keys[s*24+i])
			}
			sum += float64(w[h]) / math.Sqrt(5) * max(dot/math.Sqrt(24), 0)
		}
		want[s] = float32(sum)
	}
	ix.Score(got, q, w, keys, make([]float32, ix.Scratch()))
	golden.Near(t, "scores", got, want, 1e-6)
}

func TestMiniMaxM3(t *testing.T) {
	g := golden.Read(t, "testdata/minimax_m3.safetensors")
	x := g.Get("in")
	const heads, size, block, top = 2, 16, 4, 4
	n := len(x) / 24
	q, k := g.Linear("indexer.q_proj.weight", x), g.Linear("indexer.k_proj.weight", x)
	for _, p := range []struct {
		x    []float32
		norm string
	}{{q, "q_norm"}, {k, "k_norm"}} {
		w := slices.Clone(g.Get("indexer." + p.norm + ".weight"))
		for i := range w {
			w[i]++
		}
		for i := 0; i < len(p.x); i += size {
			vec.RMSNorm(p.x[i:i+size], p.x[i:i+size], w, 1e-6)
		}
	}
	cos, sin := halves(g.Get("cos"), 8), halves(g.Get("sin"), 8)
	rotate(q, heads, size, 0, cos, sin, false, 4)
	rotate(k, 1, size, 0, cos, sin, false, 4)
	want := ids(g.Get("out"))
	b := Blocks{Size: block, Count: top, Local: 1}
	var s Selector
	for h := range heads {
		for i := range n {
			scores := make([]float32, i+1)
			for j := range scores {
				scores[j] = vec.Dot(q[(i*heads+h)*size:][:size], k[j*size:][:size])
			}
			var kept []int32
			for _, v := range want[(h*n+i)*top:][:top] {
				if v >= 0 {
					kept = append(kept, v)
				}
			}
			slices.Sort(kept)
			got := b.Choose(nil, scores, n, &s)
			if !slices.Equal(got, kept) {
				t.Errorf("head %d: token %d chooses %v, want %v", h, i, got, kept)
			}
			if keys := Keys(nil, got, block, i+1); int(keys[len(keys)-1]) != i {
				t.Errorf("token %d does not see itself: %v", i, keys)
			}
		}
	}
}

// One whole attention of DeepSeek-V4, text at once and token by token.
func TestDeepSeekV4(t *testing.T) {
	g := golden.Read(t, "testdata/deepseek_v4.safetensors")
	for _, name := range []string{"hca", "csa"} {
		t.Run(name, func(t *testing.T) {
			golden.Near(t, "output", v4(t, g, name, 56, false), g.Get(name+".out.0"), 3e-6)
			whole := v4(t, g, name, 56, true)
			for _, piece := range []int{1, 3} {
				golden.Near(t, fmt.Sprint("in pieces of ", piece), v4(t, g, name, piece, true), whole, 3e-6)
			}
		})
	}
}

func v4(t *testing.T, g *golden.Tensors, name string, piece int, stable bool) []float32 {
	const heads, size, window, eps, rot = 4, 32, 8, 1e-6, 4
	at := func(n string) []float32 { return g.Get(name + "." + n) }
	lin := func(n string, x []float32) []float32 { return g.Linear(name+"."+n+".weight", x) }
	x := at("in.0")
	n := len(x) / 64
	cos, sin := at("in.position_embeddings.compress.0"), at("in.position_embeddings.compress.1")
	norm := func(x []float32, size int, w []float32) {
		for i := 0; i < len(x); i += size {
			vec.RMSNorm(x[i:i+size], x[i:i+size], w, eps)
		}
	}
	latent := lin("q_a_proj", x)
	norm(latent, 32, at("q_a_norm.weight"))
	q := lin("q_b_proj", latent)
	norm(q, size, nil)
	rotate(q, heads, size, size-2*rot, cos, sin, true, rot)
	kv := lin("kv_proj", x)
	norm(kv, size, at("kv_norm.weight"))
	rotate(kv, 1, size, size-2*rot, cos, sin, true, rot)

	ratio := g.Rows(name + ".compressor.position_bias")
	pool := Pool{Ratio: ratio, Size: size, Overlap: name == "csa", Bias: at("compressor.position_bias"), Norm: at("compressor.kv_norm.weight"), Eps: eps}
	zkv, zgate := lin("compressor.kv_proj", x), lin("compressor.gate_proj", x)
	ix := Indexer{Heads: 4, Size: 16}
	var index Pool
	var ikv, igate, iq, iw []float32
	if pool.Overlap {
		index = Pool{Ratio: ratio, Size: 16, Overlap: true, Bias: at("compressor.indexer.position_bias"), Norm: at("compressor.indexer.kv_norm.weight"), Eps: eps}
		ikv, igate = lin("compressor.indexer.kv_proj", x), lin("compressor.indexer.gate_proj", x)
		iq, iw = lin("compressor.indexer.q_b_proj", latent), lin("compressor.indexer.scorer.weights_proj", x)
		rotate(iq, 4, 16, 16-2*rot, cos, sin, true, rot)
	}
	var entries, keys []float32
	var pending, ipending Pending
	push := func(p *Pool, all, kv, gate []float32, s *Pending, from, to int) []float32 {
		w, had := p.Width(), s.Count
		kept := s.Clone()
		again := p.Push(slices.Clone(all), kv[from*w:to*w], gate[from*w:to*w], s)
		s.Set(kept) // a draft taken back
		all = p.Push(all, kv[from*w:to*w], gate[from*w:to*w], s)
		if !slices.Equal(again, all) {
			t.Fatal("entries differ behind a draft taken back")
		}
		for e := had; e < s.Count; e++ {
			row := all[e*p.Size:][:p.Size]
			vec.RotateInterleaved(row[p.Size-2*rot:], cos[e*p.Ratio*rot:][:rot], sin[e*p.Ratio*rot:][:rot])
		}
		return all
	}
	var out []float32
	s := Selector{Stable: stable}
	scratch := make([]float32, max(ix.Scratch(), heads*n*2))
	for from := 0; from < n; from += piece {
		to := min(from+piece, n)
		entries = push(&pool, entries, zkv, zgate, &pending, from, to)
		if pool.Overlap {
			keys = push(&index, keys, ikv, igate, &ipending, from, to)
		}
		for i := from; i < to; i++ {
			seen := (i + 1) / ratio
			var chosen []int32
			if pool.Overlap {
				scores := make([]float32, ipending.Count)
				ix.Score(scores[:seen], iq[i*64:], iw[i*4:], keys, scratch)
				for j := seen; j < len(scores); j++ {
					scores[j] = float32(math.Inf(-1))
				}
				chosen = s.Top(nil, scores, 4)
			} else {
				chosen = Keys(nil, []int32{0}, seen, seen)
			}
			rows := slices.Clone(kv[max(0, i-window+1)*size : (i+1)*size])
			rows = Gather(rows, entries, size, chosen)
			o := make([]float32, heads*size)
			Attend(o, q[i*heads*size:], rows, rows, heads, size, size, float32(1/math.Sqrt(size)), at("sinks"), scratch)
			back := slices.Clone(sin[i*rot:][:rot])
			vec.Scale(back, -1)
			for h := range heads {
				vec.RotateInterleaved(o[(h+1)*size-2*rot:(h+1)*size], cos[i*rot:][:rot], back)
			}
			out = append(out, o...)
		}
	}
	// Grouped: 2 groups of 2 heads, 16 results each.
	a := at("o_a_proj.weight")
	var grouped []float32
	for i := range n {
		for o := range 2 {
			grouped = append(grouped, golden.Linear(a[o*16*64:][:16*64], out[i*128+o*64:][:64], 16)...)
		}
	}
	return lin("o_b_proj", grouped)
}

// Stable chooses the first of ties, whatever hides behind them.
func TestStable(t *testing.T) {
	s := Selector{Stable: true}
	r := rand.New(rand.NewPCG(9, 9))
	for range 200 {
		n := 2 + r.IntN(60)
		k := 1 + r.IntN(n)
		scores, order := make([]float32, n), make([]int32, n)
		for i := range scores {
			scores[i], order[i] = float32(r.IntN(4)), int32(i)
		}
		sort.SliceStable(order, func(a, b int) bool { return scores[order[a]] > scores[order[b]] })
		want := slices.Clone(order[:k])
		slices.Sort(want)
		for range 3 {
			if got := s.Top(nil, scores, k); !slices.Equal(got, want) {
				t.Fatalf("%d of %v: %v, want %v", k, scores, got, want)
			}
			scores = append(scores, float32(math.Inf(-1)))
		}
	}
}

// Pooled keys: GLM-5.3 scores all pools of the pass, Qwen3.8 those complete by now.
func TestPools(t *testing.T) {
	const n, ratio, size, budget = 48, 4, 16, 8
	check := func(t *testing.T, i int, got, want []int32) {
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("token %d chooses %v, want %v", i, got, want)
		}
	}
	t.Run("glm5_next", func(t *testing.T) {
		g := golden.Read(t, "testdata/glm5_next.safetensors")
		x, latent := g.Get("indexer.in.hidden_states"), g.Get("indexer.in.q_resid")
		q, k := g.Linear("indexer.wq_b.weight", latent), g.Linear("indexer.wk.weight", x)
		for i := range n {
			vec.LayerNorm(k[i*size:][:size], k[i*size:][:size], g.Get("indexer.k_norm.weight"), g.Get("indexer.k_norm.bias"), 1e-6)
		}
		p := Pool{Ratio: ratio, Size: size, Bias: g.Get("indexer.index_kpool_compress_ape")}
		keys := p.Push(nil, k, g.Linear("indexer.index_kpool_compress_gate", x), &Pending{})
		w := g.Linear("indexer.weights_proj.weight", x)
		want := ids(g.Get("indexer.out"))
		ix := Indexer{Heads: 4, Size: size}
		scratch := make([]float32, ix.Scratch())
		var s Selector
		for i := range n {
			scores := make([]float32, len(keys)/size)
			seen := (i + 1) / ratio
			ix.Score(scores[:seen], q[i*64:], w[i*4:], keys, scratch)
			for j := seen; j < len(scores); j++ {
				scores[j] = float32(math.Inf(-1))
			}
			got := Tail(Keys(nil, s.Top(nil, scores, budget/ratio), ratio, i+1), ratio, i+1)
			var kept []int32
			for _, v := range want[i*11:][:11] {
				if v >= 0 {
					kept = append(kept, v)
				}
			}
			check(t, i, got, kept)
		}
	})
	t.Run("qwen4_exp", func(t *testing.T) {
		g := golden.Read(t, "testdata/qwen4_exp.safetensors")
		qk := g.Linear("indexer.index_qk_proj.weight", g.Get("indexer.in.0"))
		cos, sin := halves(g.Get("indexer.in.1.0"), size), halves(g.Get("indexer.in.1.1"), size)
		weight := func(name string) []float32 {
			w := slices.Clone(g.Get(name))
			for i := range w {
				w[i]++
			}
			return w
		}
		var q, k []float32
		for i := range n {
			q, k = append(q, qk[i*48:][:32]...), append(k, qk[i*48+32:][:size]...)
		}
		for i := 0; i < len(q); i += size {
			vec.RMSNorm(q[i:i+size], q[i:i+size], weight("indexer.q_layernorm.weight"), 1e-6)
		}
		rotate(q, 2, size, 0, cos, sin, false, size/2)
		p := Pool{Ratio: ratio, Size: size, Norm: weight("indexer.k_layernorm.weight"), Eps: 1e-6}
		keys := p.Push(nil, k, make([]float32, len(k)), &Pending{})
		for e := range len(keys) / size {
			vec.Rotate(keys[e*size:][:size], cos[e*ratio*8:][:8], sin[e*ratio*8:][:8])
		}
		ix := Indexer{Heads: 2, Size: size}
		scratch := make([]float32, ix.Scratch())
		w := float32(math.Sqrt2)
		var s Selector
		for i := range n {
			scores := make([]float32, (i+1)/ratio)
			ix.Score(scores, q[i*32:], []float32{w, w}, keys, scratch)
			got := Tail(Keys(nil, s.Top(nil, scores, budget/ratio), ratio, i+1), ratio, i+1)
			var kept []int32
			for j, v := range g.Get("indexer.out")[i*n:][:i+1] {
				if v != 0 {
					kept = append(kept, int32(j))
				}
			}
			check(t, i, got, kept)
		}
	})
}
