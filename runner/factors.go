package runner

import (
	"math"

	"quern/formats/model"
	"quern/internal/vec"
)

// factors are what a model multiplies by besides its weights.
type factors struct {
	embedding float32 // embeddings
	attention float32 // q·k; 0: the mixer's own, 1/√d
	residual  float32 // what a block gives
	logits    float32
	limit     float32 // of logits x: limit·tanh(x/limit); 0: none
}

// factorFields are the fields of the config that say them. They count for families whose
// row computes them, and have to say 1 for others (fields.go). Sources: the modeling
// files of Granite, Cohere and Gemma in transformers 5.
var factorFields = map[string]func(f *factors, x float64){
	"embedding_multiplier":    func(f *factors, x float64) { f.embedding = float32(x) },
	"attention_multiplier":    func(f *factors, x float64) { f.attention = float32(x) },
	"query_pre_attn_scalar":   func(f *factors, x float64) { f.attention = float32(1 / math.Sqrt(x)) },
	"residual_multiplier":     func(f *factors, x float64) { f.residual = float32(x) },
	"logits_scaling":          func(f *factors, x float64) { f.logits = float32(1 / x) },
	"logit_scale":             func(f *factors, x float64) { f.logits = float32(x) },
	"final_logit_softcapping": func(f *factors, x float64) { f.limit = float32(x) },
}

// factorsOf are those of a model.
func factorsOf(c *model.Config, fam *family) factors {
	f := factors{embedding: 1, residual: 1, logits: 1}
	for key, x := range c.Fields() {
		if set := factorFields[key]; set != nil && fam.computes[key] {
			if n, ok := x.Float64(); ok {
				set(&f, n)
			}
		}
	}
	if fam.factors != nil {
		fam.factors(c, &f)
	}
	return f
}

// embed multiplies an embedding.
func (f *factors) embed(x []float32) {
	if f.embedding != 1 {
		vec.Scale(x, f.embedding)
	}
}

// scale is that of attention with heads of d numbers.
func (f *factors) scale(d int) float32 {
	if f.attention != 0 {
		return f.attention
	}
	return softmaxScale(d)
}

// finish makes logits of what an output head gives.
func (f *factors) finish(x []float32) {
	if f.logits != 1 {
		vec.Scale(x, f.logits)
	}
	if f.limit != 0 {
		for i, v := range x {
			x[i] = f.limit * float32(math.Tanh(float64(v/f.limit)))
		}
	}
}
