package gemm

import (
	"fmt"
	"sync"
)

// MaxFew is the most rows that MulFew takes.
const MaxFew = 8

// MulFew is [Mul] for one to eight rows, as in token generation: the weights are
// read once, from where they lie, and the speed is that of memory.
//
// An output is summed in 16 lanes: lane j adds x[m][i]·w[o][i] for the inputs
// i = j, j+16, j+32, … by fused multiply-add, beginning with 0; the lanes are joined
// in pairs, l[i]+l[i+8] for i < 8, then of these l[i]+l[i+4], l[i]+l[i+2] and
// l[0]+l[1]. So a row's result depends neither on how many rows there are nor on
// the path or the number of workers. It differs from Mul's by rounding; only for
// transposed weights it is Mul's.
func MulFew(y []float32, ldy int, x []float32, ldx int, rows int, w *Weight, o Options) {
	if rows > MaxFew {
		panic(fmt.Sprintf("gemm: MulFew with %d rows", rows))
	}
	if w.Transposed {
		o.BF16 = false
		Mul(y, ldy, x, ldx, rows, w, o)
		return
	}
	if !begin(y, ldy, x, ldx, rows, w, o) {
		return
	}
	q := fewProducts.Get().(*fewProduct)
	q.p = current.Load()
	q.y, q.ldy, q.x, q.ldx, q.rows, q.w, q.add = y, ldy, x, ldx, rows, *w, o.Add
	q.step = w.Out
	workers := 1
	if w.Out*w.In*w.Format.Size() >= parallelBytes {
		if workers = workersOf(o); workers > 1 {
			q.step = max(w.Out/(8*workers)&^3, 4)
		}
	}
	q.team.run(q, (w.Out+q.step-1)/q.step, workers)
}

// parallelBytes is the size of weights from which on a second goroutine pays for
// being woken.
const parallelBytes = 256 << 10

// fewProduct is one call of MulFew. Its items are runs of outputs.
type fewProduct struct {
	team team

	p        *path
	y, x     []float32
	ldy, ldx int
	rows     int
	w        Weight
	add      bool

	step int // outputs of an item
}

// few computes the outputs o0…o1−1 of all rows.
type few func(q *fewProduct, ws *workspace, o0, o1 int)

var fewProducts = sync.Pool{New: func() any { return new(fewProduct) }}

func (q *fewProduct) recycle() {
	// Nothing here may keep the caller's memory alive.
	q.y, q.x, q.w = nil, nil, Weight{}
	fewProducts.Put(q)
}

func (q *fewProduct) item(i int, ws *workspace) {
	o := i * q.step
	q.p.few(q, ws, o, min(o+q.step, q.w.Out))
}

// fewGeneric is the reference.
func fewGeneric(q *fewProduct, ws *workspace, o0, o1 int) {
	w := ws.decoded.take(q.w.In)
	for o := o0; o < o1; o++ {
		q.w.decodeRow(w, o, 0)
		for m := range q.rows {
			q.put(m, o, dotLanes(q.x[m*q.ldx:][:q.w.In], w))
		}
	}
}

// put stores or adds an output.
func (q *fewProduct) put(m, o int, s float32) {
	if q.add {
		s += q.y[m*q.ldy+o]
	}
	q.y[m*q.ldy+o] = s
}

// dotLanes is the sum that MulFew defines.
func dotLanes(x, w []float32) float32 {
	var l [16]float32
	for i, v := range x { // fma, of which the usual part is inlined
		p, c := float64(v)*float64(w[i]), float64(l[i%16])
		s := p + c
		if doubtful(s) {
			s = toOdd(p, c, s)
		}
		l[i%16] = float32(s)
	}
	for n := 8; n > 0; n /= 2 {
		for i := range n {
			l[i] += l[i+n]
		}
	}
	return l[0]
}
