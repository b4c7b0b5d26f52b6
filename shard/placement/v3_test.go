package placement

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"quern/formats/safetensors"
)

// router is a made-up router of DeepSeek-V3's form: popularity of experts falls as in
// Zipf's law, topics of texts and kinds of tokens favour some experts each, and a
// token chooses groups by their two best experts and experts in those.
type router struct {
	experts, groups, topGroups, k int
	skew                          float64 // exponent of popularity
	topics, kinds                 int
	seed                          uint64
}

func v3() router {
	return router{experts: 256, groups: 8, topGroups: 4, k: 8, skew: 0.35, topics: 32, kinds: 256, seed: 1}
}

// route makes the choices of a layer for texts of so many tokens in all.
func (m router) route(layer, tokens int) routing {
	// Texts are the same for all layers, weights are each layer's own.
	text := rand.New(rand.NewPCG(m.seed, 0))
	r := rand.New(rand.NewPCG(m.seed, uint64(layer)+1))
	base := make([]float64, m.experts)
	for rank, e := range r.Perm(m.experts) {
		base[e] = -m.skew * math.Log(float64(rank+1))
	}
	favours := func(n, many int, strength float64) [][]float64 {
		out := make([][]float64, n)
		for i := range out {
			out[i] = make([]float64, m.experts)
			for range many {
				out[i][r.IntN(m.experts)] += strength * (0.5 + r.Float64())
			}
		}
		return out
	}
	topics := favours(m.topics, m.experts/8, 0.7)
	kinds := favours(m.kinds, m.experts/12, 1.2)
	out := routing{k: m.k, choices: make([]int32, 0, tokens*m.k)}
	score := make([]float64, m.experts)
	var left, topic int
	for range tokens {
		if left == 0 {
			left, topic = 100+text.IntN(200), text.IntN(m.topics)
		}
		left--
		kind := int(float64(m.kinds) * math.Pow(text.Float64(), 2))
		for e := range score {
			score[e] = base[e] + topics[topic][e] + kinds[kind][e] + 0.5*r.NormFloat64()
		}
		out.choices = append(out.choices, m.choose(score)...)
	}
	return out
}

// choose is group-limited top-k.
func (m router) choose(score []float64) []int32 {
	size := m.experts / m.groups
	best := make([]float32, m.groups)
	for g := range best {
		a, b := math.Inf(-1), math.Inf(-1)
		for _, x := range score[g*size : (g+1)*size] {
			if x > a {
				a, b = x, a
			} else if x > b {
				b = x
			}
		}
		best[g] = float32(a + b)
	}
	masked := make([]float64, len(score))
	for i := range masked {
		masked[i] = math.Inf(-1)
	}
	for _, g := range falling(best)[:m.topGroups] {
		copy(masked[g*size:(g+1)*size], score[g*size:(g+1)*size])
	}
	out := make([]int32, 0, m.k)
	for range m.k {
		e := 0
		for i, x := range masked {
			if x > masked[e] {
				e = i
			}
		}
		out = append(out, int32(e))
		masked[e] = math.Inf(-1)
	}
	slices.Sort(out)
	return out
}

// small is a router of 32 experts in 4 groups, 4 of 2 groups for a token.
func small() router {
	return router{experts: 32, groups: 4, topGroups: 2, k: 4, skew: 0.5, topics: 8, kinds: 64, seed: 2}
}

// trace writes a trace of so many layers from layer 3 on.
func (m router) trace(layers, tokens int) []byte {
	list := []safetensors.Tensor{{Name: tokensTensor, DType: safetensors.I64, Shape: []int64{int64(tokens)}}}
	for l := range layers {
		list = append(list, safetensors.Tensor{Name: fmt.Sprintf(routerTensor, 3+l), DType: safetensors.I32, Shape: []int64{int64(tokens), int64(m.k)}})
	}
	var b bytes.Buffer
	err := safetensors.Write(&b, list, map[string]string{expertsKey: strconv.Itoa(m.experts)}, func(i int, w io.Writer) error {
		if i == 0 {
			_, err := w.Write(make([]byte, 8*tokens))
			return err
		}
		return binary.Write(w, binary.LittleEndian, m.route(i-1, tokens).choices)
	})
	if err != nil {
		panic(err)
	}
	return b.Bytes()
}

// input is a trace of so many layers, opened.
func (m router) input(t testing.TB, layers, tokens int) *Input {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trace.safetensors")
	if err := os.WriteFile(path, m.trace(layers, tokens), 0o644); err != nil {
		t.Fatal(err)
	}
	trace, err := OpenTrace(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = trace.Close() })
	in, err := NewInput(nil, trace, 0)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// The published shape, fewer layers: whole groups on eight nodes keep a token on four
// of them at most, and ranks hold what belongs together.
func TestV3(t *testing.T) {
	m := v3()
	in := m.input(t, 3, 6000)
	for _, c := range []Config{
		{Ranks: 8, Nodes: 8, Groups: 8},
		{Ranks: 64, Nodes: 8, Groups: 8, Redundant: 64},
		{Ranks: 32, Nodes: 4, Groups: 8, Redundant: 32},
		{Ranks: 16, Nodes: 2, Groups: 1},
		{Ranks: 144, Nodes: 18, Groups: 8, Redundant: 32},
	} {
		cmp, err := Compare(t.Context(), in, c)
		if err != nil {
			t.Fatal(err)
		}
		p := cmp.Placement
		check(t, p)
		for i := range p.Layers {
			if c.Groups%c.Nodes == 0 && !inGroups(p, &p.Layers[i]) {
				t.Errorf("%+v: layer %d: groups are torn", c, i)
			}
		}
		q, e := cmp.Mean[Quern], cmp.Mean[EPLB]
		t.Logf("%d ranks, %d nodes, %d redundant: balance contiguous %.3f, eplb %.3f, quern %.3f; ranks a token %.3f, %.3f, %.3f; nodes %.3f, %.3f, %.3f",
			c.Ranks, c.Nodes, c.Redundant, cmp.Mean[Contiguous].Balance, e.Balance, q.Balance,
			*cmp.Mean[Contiguous].Fanout, *e.Fanout, *q.Fanout, *cmp.Mean[Contiguous].NodeFanout, *e.NodeFanout, *q.NodeFanout)
		if c.Groups%c.Nodes == 0 && *q.NodeFanout > float64(m.topGroups) {
			t.Errorf("%+v: %.3f nodes a token", c, *q.NodeFanout)
		}
		if *q.Fanout > *e.Fanout || *q.NodeFanout > *e.NodeFanout*1.005 || c.Ranks != c.Nodes && *q.Fanout == *e.Fanout {
			t.Errorf("%+v: fan-out %.3f and %.3f, EPLB's %.3f and %.3f", c, *q.Fanout, *q.NodeFanout, *e.Fanout, *e.NodeFanout)
		}
		// On the part that it was made from it keeps its promise.
		for i, l := range p.Layers {
			made, _, err := in.Trace.read(i, in.Experts)
			if err != nil {
				t.Fatal(err)
			}
			load := made.load(in.Experts)
			phy2log, log2phy := eplb(load, geometry{in.Experts, p.Slots, c.Ranks, c.Nodes, c.Groups})
			other := Layer{Phy2Log: phy2log, Log2Phy: log2phy}
			mine, theirs := balance(load, l.Phy2Log, l.Copies(), c.Ranks), balance(load, phy2log, other.Copies(), c.Ranks)
			if mine > theirs*(1+1e-5) && (c.Redundant == 0 || mine > theirs*(1+partingTolerance)) {
				t.Errorf("%+v: layer %d: balance %.4f, EPLB's %.4f", c, i, mine, theirs)
			}
		}
	}
}

// The whole published shape: 58 layers.
func BenchmarkPlaceV3(b *testing.B) {
	in := v3().input(b, 58, 8000)
	for _, c := range []Config{
		{Ranks: 32, Nodes: 4, Groups: 8, Redundant: 32},
		{Ranks: 64, Nodes: 8, Groups: 8},
		{Ranks: 144, Nodes: 18, Groups: 8, Redundant: 32},
	} {
		b.Run(fmt.Sprintf("ranks=%d/nodes=%d/redundant=%d", c.Ranks, c.Nodes, c.Redundant), func(b *testing.B) {
			for b.Loop() {
				if _, err := Place(b.Context(), in, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
