package routing

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/runner/golden"
)

func sigmoidBias(factor float32) Rule {
	return Rule{Score: Sigmoid, Normalize: true, Tiny: 1e-20, Factor: factor}
}

func TestFamilies(t *testing.T) {
	g := golden.Read(t, "testdata/routers.safetensors")
	softmax := Rule{Score: Softmax, Normalize: true}
	for name, c := range map[string]struct {
		rule Rule
		bias string
	}{
		"afmoe":          {sigmoidBias(1), "w.bias"},
		"dots1":          {sigmoidBias(2.5), "w.e_score_correction_bias"},
		"ernie4_5_moe":   {Rule{Score: Softmax, Normalize: true, Least: 1e-12}, "w.moe_statics.e_score_correction_bias"},
		"exaone_moe":     {sigmoidBias(2.5), "w.e_score_correction_bias"},
		"granitemoe":     {Rule{Chosen: Softmax}, ""},
		"cohere2_moe":    {Rule{Chosen: Softmax}, ""},
		"hunyuan_v1_moe": {softmax, ""},
		"hy_v3":          {sigmoidBias(2.826), "w.bias"},
		"laguna":         {Rule{Score: Sigmoid, Normalize: true}, "w.e_score_correction_bias"},
		"minimax_m3":     {Rule{Score: Sigmoid, Normalize: true}, "w.e_score_correction_bias"},
		"longcat_flash":  {Rule{Score: Softmax, Factor: 6}, "w.e_score_correction_bias"},
		"mimo_v2_flash":  {sigmoidBias(2.5), "w.e_score_correction_bias"},
		"nemotron_h":     {sigmoidBias(2.5), "w.e_score_correction_bias"},
		"olmoe":          {Rule{Score: Softmax}, ""},
		"qwen3_next":     {softmax, ""},
		"solar_open":     {sigmoidBias(2.5), "w.e_score_correction_bias"},
		"kimi_linear":    {sigmoidBias(2.5), "w.e_score_correction_bias"},
		"bailing_hybrid": {sigmoidBias(2.5), "w.e_score_correction_bias"},
		"deepseek_v4":    {Rule{Score: SqrtSoftplus, Normalize: true, Tiny: 1e-20, Factor: 1.5}, "w.e_score_correction_bias"},
		"phimoe":         {},
	} {
		t.Run(name, func(t *testing.T) {
			logits := g.Get(name + ".out.0")
			var bias []float32
			if c.bias != "" {
				bias = g.Get(name + "." + c.bias)
			}
			n := g.Rows(name + ".out.0")
			experts := len(logits) / n
			wantW, wantID := g.Get(name+".out.1"), g.Get(name+".out.2")
			scratch := make([]float32, 2*experts)
			for i := range n {
				ids, weights := make([]int32, 2), make([]float32, 2)
				row := slices.Clone(logits[i*experts:][:experts])
				if name == "phimoe" {
					SparseMixer(ids, weights, row, 0.01, scratch)
				} else {
					c.rule.Choose(ids, weights, row, bias, scratch)
				}
				want := []float32{wantW[2*i], wantW[2*i+1]}
				if int(ids[0]) != int(wantID[2*i]) {
					ids[0], ids[1], weights[0], weights[1] = ids[1], ids[0], weights[1], weights[0]
				}
				if int(ids[0]) != int(wantID[2*i]) || int(ids[1]) != int(wantID[2*i+1]) {
					t.Fatalf("token %d chooses %v, want %v", i, ids, wantID[2*i:2*i+2])
				}
				golden.Near(t, "weights", weights, want, 1e-6)
			}
		})
	}
}

// gemma4 hands out probabilities; llama4 the scores of all experts.
func TestOtherOutputs(t *testing.T) {
	g := golden.Read(t, "testdata/routers.safetensors")
	scale := g.Get("gemma4.w.per_expert_scale")
	r, scratch := Rule{Normalize: true}, make([]float32, 16)
	for i := range g.Rows("gemma4.out.0") {
		ids, weights := make([]int32, 2), make([]float32, 2)
		r.Choose(ids, weights, slices.Clone(g.Get("gemma4.out.0")[i*8:][:8]), nil, scratch)
		for k, id := range ids {
			weights[k] *= scale[id]
		}
		golden.Near(t, "gemma4", weights, g.Get("gemma4.out.1")[2*i:][:2], 1e-6)
	}
	r = Rule{Chosen: Sigmoid}
	for i := range g.Rows("llama4.out.1") {
		want := g.Get("llama4.out.0")[i*8:][:8]
		k := 0
		for _, v := range want {
			if v > 0 {
				k++
			}
		}
		ids, weights := make([]int32, k), make([]float32, k)
		r.Choose(ids, weights, slices.Clone(g.Get("llama4.out.1")[i*8:][:8]), nil, scratch)
		got := make([]float32, 8)
		for j, id := range ids {
			got[id] = weights[j]
		}
		golden.Near(t, "llama4", got, want, 1e-6)
	}
}

// Groups equal a twin that sorts.
func TestGroups(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 200 {
		const experts, groups, top = 24, 6, 2
		two := r.IntN(2) == 0
		x := make([]float32, experts)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		value := func(g int) float32 {
			s := slices.Clone(x[g*4:][:4])
			slices.Sort(s)
			if two {
				return s[3] + s[2]
			}
			return s[3]
		}
		order := []int{0, 1, 2, 3, 4, 5}
		slices.SortStableFunc(order, func(a, b int) int {
			if value(a) > value(b) {
				return -1
			}
			return 1
		})
		var want []int32
		for _, g := range order[:top] {
			for e := range 4 {
				want = append(want, int32(g*4+e))
			}
		}
		slices.SortStableFunc(want, func(a, b int32) int {
			if x[a] > x[b] {
				return -1
			}
			return 1
		})
		rule := Rule{Groups: groups, TopGroups: top, BestTwo: two}
		ids, weights := make([]int32, 3), make([]float32, 3)
		rule.Choose(ids, weights, slices.Clone(x), nil, make([]float32, 2*experts))
		if !slices.Equal(ids, want[:3]) {
			t.Fatalf("chooses %v of %v, want %v", ids, x, want[:3])
		}
	}
}

func TestNaN(t *testing.T) {
	nan := float32(math.NaN())
	r := Rule{Score: Softmax, Normalize: true}
	ids := make([]int32, 2)
	r.Choose(ids, make([]float32, 2), []float32{nan, nan, nan}, nil, make([]float32, 6))
	if !slices.Equal(ids, []int32{0, 1}) {
		t.Fatal(ids)
	}
}

func TestCap(t *testing.T) {
	x := []float32{100, -100, 0.1}
	Cap(x, 30)
	if x[0] > 30 || x[1] < -30 || math.Abs(float64(x[2])-0.1) > 1e-5 {
		t.Fatal(x)
	}
}
