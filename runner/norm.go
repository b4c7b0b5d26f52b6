package runner

import (
	"slices"

	"quern/formats/model"
	"quern/internal/vec"
)

// normKind is what the norms of a family compute.
type normKind uint8

const (
	rootMeanSquare normKind = iota // x/√(mean x² + eps)·w
	rootMeanPlus                   // the same with 1+w: Gemma, Qwen3-Next
	layerNorm                      // (x − mean)/√(variance + eps)·w + b, with or without b
)

// norm is a norm with its weights.
type norm struct {
	kind   normKind
	weight *vector // nil: ones, so many as width says
	bias   *vector // or nil
	eps    float32
	width  int
}

// bare is a norm without weights over n numbers.
func bare(n int, eps float32) *norm { return &norm{width: n, eps: eps} }

// norm is a norm of the layer over n numbers, by its part.
func (s *site) norm(part string, n int, eps float32) *norm {
	x := &norm{kind: s.normKind(), weight: s.vector(key{role: model.Norm, layer: s.layer, part: part, piece: s.piece}, n), eps: eps}
	switch x.kind {
	case rootMeanPlus:
		x.weight.plus = 1
	case layerNorm:
		x.bias = s.optional(key{role: model.Bias, layer: s.layer, part: part}, n)
	}
	return x
}

// normKind is that of the model's norms.
func (s *site) normKind() normKind {
	if s.fam.normOf != nil {
		return s.fam.normOf(s.c)
	}
	return s.fam.norms
}

// needs adds the weights; of no norm, none.
func (n *norm) needs(p *part) {
	if n != nil {
		p.vectors(n.weight, n.bias)
	}
}

// of gives the function that writes the norm of a row x to dst, which may be x; of no
// norm, nil.
func (n *norm) of(w provider) func(dst, x []float32) {
	if n == nil {
		return nil
	}
	eps := n.eps
	var weight []float32
	if n.weight != nil {
		weight = w.vector(n.weight)
	} else {
		weight = slices.Repeat([]float32{1}, n.width)
	}
	if n.kind != layerNorm {
		return func(dst, x []float32) { vec.RMSNorm(dst, x, weight, eps) }
	}
	var bias []float32
	if n.bias != nil {
		bias = w.vector(n.bias)
	}
	return func(dst, x []float32) { vec.LayerNorm(dst, x, weight, bias, eps) }
}

// normalize writes the norm of each row of x to dst, which may be x.
func (p *pass) normalize(dst, x []float32, rows, width int, n *norm) {
	if n == nil {
		if rows > 0 && &dst[0] != &x[0] {
			copy(dst[:rows*width], x)
		}
		return
	}
	row := n.of(p.weights)
	p.each(rows, width, func(first, count, _ int) {
		for r := first; r < first+count; r++ {
			row(dst[r*width:][:width], x[r*width:][:width])
		}
	})
}
