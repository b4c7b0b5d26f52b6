package group

import (
	"math"
	"sync"

	"quern/fp8"
)

// spanLen is how many weights of a row are coded at a time, so that they stay in the
// first cache; a multiple of every group.
const spanLen = 1024

// unit is how many weights the kernels give one multiplier to. Larger groups repeat
// theirs.
const unit = 16

// span is a part of a row that is coded at a time.
type span struct {
	*scratch
	p      *path
	row    *Row
	w      []float32 // the weights
	amax   []float32 // the largest magnitude of each group
	mult   []float32 // the multiplier of each unit, to fill in
	codes  []byte
	scales []byte
	col    int // of the first weight
}

// scratch is the memory of one call.
type scratch struct {
	weights [spanLen]float32
	amaxes  [spanLen / unit]float32
	mults   [spanLen / unit]float32
	search  searchScratch

	// Of what comes back at once, see round.
	codes  [spanLen]byte
	scales [spanLen / unit]byte
	out    [4 * spanLen]byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// encode codes m span by span: code gets spans of finite weights with their amax,
// and fills in scales and codes. The arguments have been checked.
func encode(l Layout, dst Coded, rows []Row, m fp8.Matrix, code func(s *span)) {
	if m.Cols == 0 {
		return
	}
	ws := scratches.Get().(*scratch)
	defer scratches.Put(ws)
	s := span{scratch: ws, p: current.Load()}
	size := m.Elem.Size()
	for r := range m.Rows {
		s.row = &rows[r]
		src := m.Data[r*m.Stride*size:]
		codes, scales := dst.Codes[r*dst.CodeStride:], dst.Scales[r*dst.ScaleStride:]
		for c := 0; c < m.Cols; c += spanLen {
			n := min(spanLen, m.Cols-c)
			s.col = c
			s.w = ws.weights[:n]
			s.amax = ws.amaxes[:n/l.Group]
			s.mult = ws.mults[:n/unit]
			s.codes = codes[l.CodeBytes(c):][:l.CodeBytes(n)]
			s.scales = scales[l.Scales(c)*l.ScaleBytes:][:l.Scales(n)*l.ScaleBytes]
			m.Elem.Decode(s.w, src[c*size:])
			top, zeros := s.p.amax(s.amax, s.w)
			if top >= infinite {
				s.row.nonFinite = true
				continue
			}
			s.row.groups += uint32(len(s.amax))
			s.row.zeroGroups += zeros
			code(&s)
		}
	}
}

// decode writes the values of rows×cols codes: mults fills in the multipliers of
// units from scales, run turns codes into values. The arguments have been checked.
func decode(l Layout, dst []byte, dstStride int, elem fp8.Elem, src Coded, rows, cols int,
	mults func(mult []float32, scales []byte), run func(p *path) decoder,
) {
	if cols == 0 {
		return
	}
	ws := scratches.Get().(*scratch)
	defer scratches.Put(ws)
	fast, slow := run(current.Load()), run(&genericPath)
	size := elem.Size()
	for r := range rows {
		out := dst[r*dstStride*size:]
		codes, scales := src.Codes[r*src.CodeStride:], src.Scales[r*src.ScaleStride:]
		for c := 0; c < cols; c += spanLen {
			n := min(spanLen, cols-c)
			mult := ws.mults[:n/unit]
			mults(mult, scales[l.Scales(c)*l.ScaleBytes:][:l.Scales(n)*l.ScaleBytes])
			decode := fast
			if !allFinite(mult) { // odd scales are no kernel's business
				decode = slow
			}
			decode(out[c*size:][:n*size], elem, codes[l.CodeBytes(c):][:l.CodeBytes(n)], mult)
		}
	}
}

// infinite are the bits of an infinite float32; those of NaN are larger.
const infinite = 0x7f800000

// allFinite says whether no number of x is NaN or infinite.
func allFinite(x []float32) bool {
	var top uint32
	for _, v := range x {
		top = max(top, math.Float32bits(v)&^signBit)
	}
	return top < infinite
}

const (
	signBit  = 0x80000000
	quietNaN = 0x7fc00000
)

func abs(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ signBit) }

// encodeScaled writes E4M3 codes of all weights with one scale. The arguments have
// been checked.
func encodeScaled(codes []byte, codeStride int, rows []Row, m fp8.Matrix, scale float32) {
	ws := scratches.Get().(*scratch)
	defer scratches.Put(ws)
	mult := ws.mults[:]
	for i := range mult {
		mult[i] = scale
	}
	p := current.Load()
	for r := range m.Rows {
		forSpans(ws, m, r, func(w []float32, c int) {
			top, _ := p.amax(ws.amaxes[:1], w)
			if top >= infinite {
				rows[r].nonFinite = true
				return
			}
			out := codes[r*codeStride+c:]
			whole := min(m.Cols-c, len(w)) / unit * unit
			p.encodeE4M3(out[:whole], w[:whole], mult, &rows[r])
			if rest := w[whole:min(m.Cols-c, len(w))]; len(rest) > 0 {
				encodeE4M3Generic(out[whole:], rest, mult, &rows[r])
			}
		})
	}
}

// forSpans calls f with the weights of row r, span by span, padded with zeros to
// whole units, and the column of the first.
func forSpans(ws *scratch, m fp8.Matrix, r int, f func(w []float32, c int)) {
	size := m.Elem.Size()
	for c := 0; c < m.Cols; c += spanLen {
		n := min(spanLen, m.Cols-c)
		padded := (n + unit - 1) / unit * unit
		m.Elem.Decode(ws.weights[:n], m.Data[(r*m.Stride+c)*size:])
		clear(ws.weights[n:padded])
		f(ws.weights[:padded], c)
	}
}

// Amax returns the largest magnitude of m, which scales of tensors and rows come
// from; finite is false where a weight is NaN or infinite. m must be sound: a view
// that reaches beyond its data panics, as indexing does.
func Amax(m fp8.Matrix) (amax float32, finite bool) {
	ws := scratches.Get().(*scratch)
	defer scratches.Put(ws)
	p := current.Load()
	var top uint32
	for r := range m.Rows {
		forSpans(ws, m, r, func(w []float32, _ int) {
			t, _ := p.amax(ws.amaxes[:1], w)
			top = max(top, t)
		})
	}
	return math.Float32frombits(top), top < infinite
}
