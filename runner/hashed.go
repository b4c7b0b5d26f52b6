package runner

import (
	"encoding/binary"
	"slices"

	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/source"
)

// byToken is a table of the experts of each token (the first layers of DeepSeek-V4): the
// router's scores weigh them only.
func (s *site) byToken() *vector {
	return s.indexes(key{role: model.Router, layer: s.layer, part: "tid2eid"}, s.c.NumExperts, s.c.VocabSize, s.c.NumExpertsPerTok)
}

// look chooses the experts of rows by their tokens.
func (r *router) look(p *pass, c choices, logits []float32, b *batch) {
	table := p.weights.vector(r.table)
	p.each(b.n, r.experts+r.topK, func(first, n, _ int) {
		for i := first; i < first+n; i++ {
			ids, scores := c.ids[i*r.topK:][:r.topK], logits[i*r.experts:][:r.experts]
			for k, id := range table[b.tokens[i]*r.topK:][:r.topK] {
				ids[k] = int32(id)
			}
			r.Scores(scores)
			r.Weigh(ids, c.weights[i*r.topK:][:r.topK], scores)
		}
	})
}

// indexes returns what k stores in a shape: whole numbers below a bound.
func (b *builder) indexes(k key, below int, rows, width int) *vector {
	t := b.find(k)
	if t == nil {
		return &vector{}
	}
	if t.DType != safetensors.I64 && t.DType != safetensors.I32 || !slices.Equal(t.Shape, []int64{int64(rows), int64(width)}) {
		if b.err == nil {
			b.err = invalid.Errorf("tensor %q: %s of shape %v instead of whole numbers in [%d %d]", t.Name, t.DType, t.Shape, rows, width)
		}
		return &vector{}
	}
	return &vector{view: t.Source, n: rows * width, below: below}
}

// integers reads a vector of indexes, each below its bound.
func (v *vector) integers(files *source.Files) ([]float32, error) {
	raw := make([]byte, v.view.Bytes())
	if err := files.Read(&v.view, raw, 0); err != nil {
		return nil, err
	}
	size := len(raw) / max(v.n, 1)
	dst := make([]float32, v.n)
	for i := range dst {
		var x int64
		if size == 8 {
			x = int64(binary.LittleEndian.Uint64(raw[8*i:]))
		} else {
			x = int64(int32(binary.LittleEndian.Uint32(raw[4*i:])))
		}
		if x < 0 || x >= int64(v.below) {
			return nil, invalid.Errorf("tensor %q: element %d is %d, but there are %d experts", v.view.Name, i, x, v.below)
		}
		dst[i] = float32(x) // exact below 2²⁴
	}
	return dst, nil
}
