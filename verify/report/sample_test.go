package report

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"quern/convert/serving"
	arch "quern/formats/model"
	"quern/verify"
	"quern/verify/evaluation"
	"quern/verify/metrics"
	"quern/verify/outputs"
)

// shape is what a made-up report is about.
type shape struct {
	name            string
	dense, moe      int // layers
	experts, k      int
	tokens, context int
	bytes           int64 // of the baseline's routed experts
}

var (
	tinyShape = shape{name: "tinyseek", dense: 1, moe: 4, experts: 16, k: 4, tokens: 10384, context: 512, bytes: 7_000_000}
	v3Shape   = shape{name: "DeepSeek-V3", dense: 3, moe: 58, experts: 256, k: 8, tokens: 20000, context: 4096, bytes: 1_300_000_000_000}
)

// made is a report of the full form, as a comparison of two checkpoints gives it. Its
// figures are made up, in proportions that were measured.
func made(s shape) *verify.Report {
	rnd := rand.New(rand.NewPCG(1, 2))
	r := &verify.Report{Checkpoint: "/models/" + s.name + "-fp8", Baseline: "/models/" + s.name}
	r.Weights = madeWeights(s, rnd)
	r.Date = time.Date(2026, 11, 29, 8, 30, 0, 0, time.UTC)
	r.Subject = &verify.Subject{Architecture: "DeepseekV3ForCausalLM", Parameters: arch.Parameters{Total: s.bytes / 2, Active: s.bytes / 36, MTP: s.bytes / 120}, Calibration: "5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c"}
	r.Engines = []serving.Note{
		{Engine: "vLLM 0.26", Severity: serving.Limits, Text: "needs a tensor-parallel size that divides 16", Source: "vllm 0.26, fp8.py"},
		{Engine: "SGLang", Severity: serving.Informs, Text: "loads it as it is", Source: "sglang 0.5.20"},
	}
	r.Sizes = madeSizes(s)
	r.Tensors = 2*r.Weights.Quantized + r.Weights.Kept
	for _, x := range r.Sizes {
		r.Bytes += x.Bytes
	}
	r.Add(
		verify.Gate{Name: "digest", Passed: true}, verify.Gate{Name: "finite", Passed: true},
		verify.Gate{Name: "scales", Passed: true}, verify.Gate{Name: "shapes", Passed: true}, verify.Gate{Name: "kept", Passed: true},
		verify.Gate{Name: "sqnr", Value: *r.Weights.WorstSQNR, Limit: 31, Passed: true},
	)
	r.AddBehaviour(madeBehaviour(s, rnd))
	return r
}

var madeRoles = []struct {
	name  string
	each  int // tensors of a layer
	where string
	part  float64 // of the routed experts' bytes
	fp8   bool
}{
	{"routed_expert", 0, "mlp.experts.%d.%s_proj", 1, true},
	{"attention", 5, "self_attn.%s_proj", 0.017, true},
	{"shared_expert", 3, "mlp.shared_experts.%s_proj", 0.0039, true},
	{"dense_mlp", 3, "mlp.%s_proj", 0.0018, true},
	{"embedding", 0, "", 0.0014, false},
	{"head", 0, "", 0.0014, false},
	{"router", 0, "", 0.0002, false},
	{"norm", 0, "", 0.000002, false},
	{"mtp routed_expert", 0, "", 0.0172, true},
	{"mtp mtp_projection", 0, "", 0.0002, false},
}

func madeSizes(s shape) []verify.RoleSize {
	var out []verify.RoleSize
	for _, r := range madeRoles {
		x := verify.RoleSize{Role: r.name, Baseline: int64(float64(s.bytes) * r.part)}
		x.Bytes = x.Baseline
		if r.fp8 {
			x.Bytes = x.Baseline/2 + x.Baseline/2/4096
		}
		out = append(out, x)
	}
	return out
}

func madeWeights(s shape, rnd *rand.Rand) *verify.WeightsReport {
	w := &verify.WeightsReport{Kept: 8*(s.dense+s.moe) + 3}
	layer := 0
	put := func(role, name string, centre, width float64) {
		db := max(centre+width*rnd.NormFloat64(), 31.02)
		noise := math.Pow(10, -db/20)
		w.Tensors = append(w.Tensors, verify.TensorError{
			Name: name, Role: role, Scheme: "fp8", Floor: 31, Layer: layer, SQNR: &db, Relative: noise, Cosine: 1 - noise*noise/2, MaxAbs: 0.004 * math.Exp(0.3*rnd.NormFloat64()),
		})
	}
	for l := range s.dense + s.moe {
		layer = l
		at := fmt.Sprintf("model.layers.%d.", l)
		for _, p := range []string{"q_a", "q_b", "kv_a", "kv_b", "o"} {
			put("attention", at+"self_attn."+p+"_proj.weight", 31.8, 0.12)
		}
		for _, p := range []string{"gate", "up", "down"} {
			if l < s.dense {
				put("dense_mlp", at+"mlp."+p+"_proj.weight", 31.62, 0.06)
				continue
			}
			put("shared_expert", at+"mlp.shared_experts."+p+"_proj.weight", 31.6, 0.05)
			for e := range s.experts {
				role := "routed_expert"
				if l == s.dense+s.moe-1 {
					role = "mtp routed_expert"
				}
				put(role, fmt.Sprintf("%smlp.experts.%d.%s_proj.weight", at, e, p), 31.56, 0.04)
			}
		}
	}
	slices.SortFunc(w.Tensors, func(a, b verify.TensorError) int { return cmp.Compare(*a.SQNR, *b.SQNR) })
	w.Quantized = len(w.Tensors)
	w.WorstSQNR, w.WorstTensor = w.Tensors[0].SQNR, w.Tensors[0].Name
	for i := range w.Tensors {
		t := &w.Tensors[i]
		at := slices.IndexFunc(w.Roles, func(r verify.RoleError) bool { return r.Role == t.Role })
		if at < 0 {
			w.Roles = append(w.Roles, verify.RoleError{Role: t.Role, SQNR: t.SQNR, Relative: t.Relative, Cosine: t.Cosine, Worst: t.Name})
			at = len(w.Roles) - 1
		}
		w.Roles[at].Tensors++
		w.Roles[at].MaxAbs = max(w.Roles[at].MaxAbs, t.MaxAbs)
	}
	slices.SortFunc(w.Roles, func(a, b verify.RoleError) int { return cmp.Compare(a.Role, b.Role) })
	return w
}

func madeBehaviour(s shape, rnd *rand.Rand) verify.Behaviour {
	list := make([]metrics.Token, s.tokens)
	at := make([]int, s.tokens)
	for i := range list {
		at[i] = i % (s.context - 1)
		kld := math.Exp(math.Log(0.0011) + 1.5*rnd.NormFloat64() - 0.1*math.Log2(float64(at[i]+1)))
		nll := max(0.01, 3.3+2.4*rnd.NormFloat64())
		t := metrics.Token{Target: 1, KLD: min(kld, 0.9), NLLBase: nll, Top5: 5 - min(5, int(30*kld*rnd.Float64()))}
		t.NLLQuant = max(0.001, nll+math.Sqrt(2*t.KLD)*rnd.NormFloat64()*0.9+t.KLD)
		t.PBase, t.PQuant = math.Exp(-t.NLLBase), math.Exp(-t.NLLQuant)
		if rnd.Float64() < math.Sqrt(t.KLD) {
			t.TopQuant = 7
		}
		if rnd.Float64() < 0.43 {
			t.Target = t.TopBase
		}
		list[i] = t
	}
	h := metrics.Histogram(list)
	m := metrics.Summarize(list)
	b := verify.Behaviour{
		Setup: &verify.Setup{
			Version: "0.4.0", Context: s.context, Score: "all", Activations: "bf16",
			Command: []string{"verify", "--baseline", "/models/" + s.name, "--text", "verify.txt", "--text", "release notes.md", "--report", "report.html", "/models/" + s.name + "-fp8"},
			Sources: []verify.TextSource{
				{Name: "verify.txt", Digest: "9b2f6c1d4e5a8b7c0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e", Bytes: 22419, Tokens: s.tokens * 3 / 4},
				{Name: "release notes.md", Digest: "1c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e9b2f6c1d4e5a8b7c0d1e2f3a4b", Bytes: 7021, Tokens: s.tokens / 4},
			},
		},
		Metrics: &m, Histogram: &h, Positions: metrics.ByPosition(list, at, s.context),
		Routing:         madeRouting(s, rnd),
		MTP:             &evaluation.MTP{Tokens: s.tokens - 40, AcceptanceBase: 0.4817, UncertaintyBase: 0.0049, AcceptanceQuant: 0.4821, UncertaintyQuant: 0.0049},
		TokensPerSecond: &[2]metrics.Figure{9123, 8711},
	}
	cut := s.tokens * 3 / 4
	b.Texts = []evaluation.TextSummary{
		{Name: "verify.txt", Tokens: cut, Metrics: metrics.Summarize(list[:cut])},
		{Name: "release notes.md", Tokens: s.tokens - cut, Metrics: metrics.Summarize(list[cut:])},
	}
	for i, x := range [][4]string{
		{"\tif err != nil {\n\t\treturn nil, fmt.Errorf(\"reading %q: %w\", path, err)\n\t}\n\tdefer f.", "Close", "Close", "close"},
		{"// Package safetensors reads and writes the ", "container", "container", "header"},
		{"func (s *side) quantization() {\n\tif s.c.Config == nil || s.c.Config.", "Quant", "Quant", "\n\n\t"},
		{"for i := range x.side.tensors {\n\t\ts := &x.side.tensors[i]\n\t\tif want, ok := arch.ExpectedShape(s.Meta); ok && !slices.Equal(want,", " s", " s", " t"},
		{"größer als 10 µm, \u202e\u200bd.h. \xe2\x82", "\xac", "\xac", " "},
	} {
		b.Worst = append(b.Worst, evaluation.WorstToken{
			Text: i % 2, Position: 311 * (i + 1), Target: 10 + i, Before: []int{1, 2, 3}, KLD: metrics.Figure(0.663 / float64(i+1)), PBase: 0.412, PQuant: 0.088, TopBase: 10 + i, TopQuant: 99 - i,
			Show: &evaluation.Shown{Before: x[0], Target: x[1], TopBase: x[2], TopQuant: x[3]},
		})
	}
	return b
}

func madeRouting(s shape, rnd *rand.Rand) *metrics.RoutingReport {
	x := metrics.Routing{Experts: s.experts}
	tokens := 100_000 / s.experts
	for layer := s.dense; layer < s.dense+s.moe; layer++ {
		like := make([]float64, s.experts)
		for e := range like {
			like[e] = 0.8 * rnd.NormFloat64()
		}
		if layer == s.dense {
			like[3] = -9
		}
		base, quant := make([]int32, 0, tokens*s.k), make([]int32, 0, tokens*s.k)
		score, order := make([]float64, s.experts), make([]int32, s.experts)
		for range tokens {
			for e := range score {
				score[e] = like[e] + rnd.NormFloat64()
			}
			pick := func(noise float64) []int32 {
				for e := range order {
					order[e] = int32(e)
					score[e] += noise * rnd.NormFloat64()
				}
				slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(score[b], score[a]) })
				return order[:s.k]
			}
			base = append(base, pick(0)...)
			quant = append(quant, pick(0.015+0.0004*float64(layer))...)
		}
		if err := x.Add(layer, s.k, base, quant); err != nil {
			panic(err)
		}
	}
	rep := x.Report()
	return &rep
}

// madeSingle is a report of one checkpoint that was run.
func madeSingle(s shape) *verify.Report {
	full := made(s)
	r := &verify.Report{Checkpoint: full.Checkpoint, Tensors: full.Tensors, Bytes: full.Bytes}
	for _, x := range full.Sizes {
		r.Sizes = append(r.Sizes, verify.RoleSize{Role: x.Role, Bytes: x.Bytes})
	}
	r.Add(
		verify.Gate{Name: "digest", Passed: true, Skipped: "there is no quern-manifest.json"},
		verify.Gate{Name: "finite", Passed: true}, verify.Gate{Name: "scales", Passed: true}, verify.Gate{Name: "shapes", Passed: true},
	)
	single := &evaluation.Single{
		Texts:           []evaluation.SingleText{{Name: "verify.txt", Tokens: s.tokens, Metrics: metrics.OneSummary{Tokens: s.tokens, PPL: 29.386, PPLUncertainty: 0.7123, Accuracy: 0.4312, EntropyMean: 2.871}}},
		Metrics:         metrics.OneSummary{Tokens: s.tokens, PPL: 29.386, PPLUncertainty: 0.7123, Accuracy: 0.4312, EntropyMean: 2.871},
		MTP:             &metrics.AcceptanceRate{Tokens: s.tokens - 40, Accepted: 4986, Rate: 0.4821, Uncertainty: 0.0049},
		TokensPerSecond: 9011,
	}
	for _, l := range full.Routing.Layers {
		single.Load = append(single.Load, evaluation.LayerLoad{Layer: l.Layer, Load: l.LoadQuant})
	}
	r.AddBehaviour(verify.Behaviour{Setup: full.Setup, Single: single})
	return r
}

// madeReference is a report of a checkpoint against an outputs file.
func madeReference(s shape) *verify.Report {
	full := made(s)
	r := &verify.Report{Checkpoint: full.Checkpoint, Baseline: "reference.safetensors", Tensors: full.Tensors, Bytes: full.Bytes}
	r.Add(verify.Gate{Name: "finite", Passed: true})
	b := full.Behaviour
	mtp := metrics.Figure(0.0123)
	b.Texts, b.TokensPerSecond, b.Single = nil, nil, nil
	b.Reference = &outputs.Reference{MaxAbsLogitDiff: 0.00021, MaxAbsMTPLogitDiff: &mtp}
	for l := range s.dense + s.moe + 1 {
		h := outputs.HiddenDifference{Layer: l, RMS: metrics.Figure(0.05 + 0.02*float64(l))}
		if l > 0 {
			h.MaxAbs = metrics.Figure(1e-6 * math.Exp(0.3*float64(l)))
			h.Relative = h.MaxAbs / h.RMS
			h.SQNR = metrics.Figure(100 - 2*float64(l))
		} else {
			h.SQNR = metrics.Figure(math.NaN())
		}
		b.Hidden = append(b.Hidden, h)
	}
	for i := range b.Worst {
		b.Worst[i].Show = nil
	}
	r.AddBehaviour(b)
	return r
}

// madeFailing is a report in which much is wrong.
func madeFailing(s shape) *verify.Report {
	r := made(s)
	r.Warnings = []string{"12 tensors of the config are missing: model.layers.4.*", "config.json has no generation_config"}
	bad := 18.42
	worst := r.Weights.Tensors[0]
	worst.SQNR, worst.Relative, worst.Cosine, worst.Ideal = &bad, math.Pow(10, -bad/20), 0.9928, r.Weights.Tensors[1].SQNR
	worst.Short = true
	r.Weights.Tensors[0] = worst
	r.Engines[0].Severity = serving.Misreads
	r.Weights.WorstSQNR = &bad
	for i := range r.Gates {
		switch g := &r.Gates[i]; g.Name {
		case "sqnr":
			g.Value, g.Passed = bad, false
			g.Failures = []string{fmt.Sprintf("tensor %q (%s): %.3f dB, less than 31.000 (31.56 is what absmax scales give)", worst.Name, worst.Role, bad)}
		case "kept":
			g.Value, g.Passed = 2, false
			g.Failures = []string{"tensor \"model.layers.2.mlp.gate.weight\" (router, layer 2): differs at 4,096 of 4,096 values", "tensor \"model.norm.weight\" (norm): missing"}
		}
	}
	if !r.SetLimit("kld_mean", 0.001) || !r.SetOff("mtp_drop") {
		panic("gates are missing")
	}
	return r
}
