package runner

import (
	"quern/formats/safetensors"
	"quern/gemm"
	"quern/internal/vec"
	"quern/source"
)

// Head is an output head: a row of weights for each token of the vocabulary.
type Head struct {
	m       *matrix
	bias    *vector // or nil
	files   *source.Files
	product product
	factors *factors
}

// Head is the output head of the model. Of the options Workers, Device and Fast count.
func (m *Model) Head(o Options) *Head {
	h := m.headOf(m.head, o)
	h.bias = m.headBias
	return h
}

func (m *Model) headOf(w *matrix, o Options) *Head {
	return &Head{m: w, files: m.files, product: product{workersOf(o.Workers), o.Fast, o.Device}, factors: &m.factors}
}

// MTPHead is the output head of multi-token prediction; shared says that it is the
// model's.
func (m *Model) MTPHead(o Options) (h *Head, shared bool) {
	return m.headOf(m.mtp.head, o), m.mtp.head == m.head
}

// TileRows is a number of rows that takes about limit bytes in memory: a multiple of
// 128, so that tiles of scales stay whole.
func (h *Head) TileRows(limit int64) int {
	per := h.m.rowBytes()
	return int(min(max(limit/per/128*128, 128), int64((h.m.out+127)/128*128)))
}

// Tile is a part of an output head in memory.
type Tile struct {
	First, N int // token ids
	w        *gemm.Weight
	bias     []float32 // or nil
	head     *Head
}

// Tile reads rows first to first+n into buf, which grows as needed and is returned
// to be used again.
func (h *Head) Tile(first, n int, buf []byte) (*Tile, []byte, error) {
	per := int(h.m.rowBytes())
	if cap(buf) < n*per {
		buf = make([]byte, n*per)
	}
	w, err := h.m.load(h.files, buf[:n*per], first, n)
	t := &Tile{First: first, N: n, w: w, head: h}
	if err == nil && h.bias != nil {
		all, err := h.bias.load(h.files)
		if err != nil {
			return nil, buf, err
		}
		t.bias = all[first : first+n]
	}
	return t, buf, err
}

// Logits computes rows of N logits each from rows of hidden states.
func (t *Tile) Logits(dst, x []float32, rows int) {
	t.head.product.mul(dst, t.N, x, t.w.In, rows, t.w)
	shift(dst, t.bias, rows)
	t.head.factors.finish(dst[:rows*t.N])
}

// shift adds a bias to rows of logits; nil: nothing.
func shift(dst, bias []float32, rows int) {
	for r := range rows * min(len(bias), 1) {
		vec.Add(dst[r*len(bias):][:len(bias)], bias)
	}
}

// floats widens elements of a format that has no scales.
func floats(dst []float32, data []byte, f gemm.Format) bool {
	switch f {
	case gemm.F32:
		return source.Floats(dst, data, safetensors.F32)
	case gemm.BF16:
		return source.Floats(dst, data, safetensors.BF16)
	case gemm.F16:
		return source.Floats(dst, data, safetensors.F16)
	}
	return false
}
