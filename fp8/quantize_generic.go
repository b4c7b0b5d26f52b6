package fp8

import "math"

// genericTile is the scalar reference: every other path equals it bit for bit.
type genericTile struct {
	tile
	w []float32 // the weights, rows×cols, dense
}

func bindGeneric(ws *workspace, t tile) tileKernels {
	g := &ws.generic
	g.tile = t
	g.w = ws.f32[:t.rows*t.cols]
	size := t.elem.Size()
	for r := range t.rows {
		t.elem.decode(g.row(r), t.src[r*t.stride*size:])
	}
	return g
}

func (g *genericTile) row(r int) []float32 { return g.w[r*g.cols:][:g.cols] }

func (g *genericTile) amax() (amax float32, finite bool) {
	// Magnitudes are ordered as their bits are, NaN above infinity above all others.
	var top uint32
	for _, w := range g.w {
		top = max(top, math.Float32bits(w)&0x7fffffff)
	}
	return math.Float32frombits(top), top < 0x7f800000
}

func (g *genericTile) encode(s float32, _ bool) (u sums) {
	for r := range g.rows {
		var sq, er lanes
		codes := g.codes[r*g.codeStride:][:g.cols]
		for c, w := range g.row(r) {
			y := w / s
			code := E4M3FromFloat32(y)
			codes[c] = code
			d := y - E4M3ToFloat32(code)
			sq[c%16] += float32(y * y) // the conversions forbid fused multiply-adds
			er[c%16] += float32(d * d)
			u.maxErr = max(u.maxErr, abs(d))
			u.count(code, w, y)
		}
		u.sumSq += sq.join()
		u.sumErr += er.join()
	}
	return u
}

func (g *genericTile) cost(s, factor, least float32) float32 {
	u := g.columnWeights()
	var sum float32
	for r := range g.rows {
		var er lanes
		for c, w := range g.row(r) {
			y := w / s
			d := y - E4M3ToFloat32(E4M3FromFloat32(y))
			er[c%16] += float32(float32(d*d) * u[c])
		}
		if sum += er.join(); factor*sum >= least {
			break
		}
	}
	return factor * sum
}

// lanes are the partial sums of one row of a tile: lane j is the sum over the
// columns j, j+16, j+32, …
type lanes [16]float32

// join adds the lanes up: l[i]+l[i+8], then +4, +2, +1.
func (l *lanes) join() float32 {
	a := [8]float32{
		l[0] + l[8], l[1] + l[9], l[2] + l[10], l[3] + l[11],
		l[4] + l[12], l[5] + l[13], l[6] + l[14], l[7] + l[15],
	}
	b := [4]float32{a[0] + a[4], a[1] + a[5], a[2] + a[6], a[3] + a[7]}
	return (b[0] + b[2]) + (b[1] + b[3])
}

func abs(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ signBit) }
