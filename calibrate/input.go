package calibrate

import (
	"math"
	"sync"

	"quern/calibrate/columns"
	"quern/calibrate/sketch"
)

// input is what was seen of the common input of some modules.
type input struct {
	modules []string
	count   int64
	amax    float32
	squares []float64
	*distribution
}

// distribution counts magnitudes; it is large.
type distribution struct {
	values sketch.Counter
	groups sketch.Counter // of the largest ones of groups of columns.Width
}

// observer adds rows of numbers to statistics, with scratch memory of its own.
type observer struct {
	workers int
	scratch []*observation // by worker
}

// observation is what one worker makes of some columns or rows.
type observation struct {
	maxima         []float32
	bits           uint32 // of the largest magnitude
	values, groups sketch.Counter
	pairs          [columns.Buckets * columns.Buckets]uint32
	base           int // of pairs
}

func newObserver(workers int) *observer {
	o := &observer{workers: workers}
	for range workers {
		o.scratch = append(o.scratch, &observation{})
	}
	return o
}

const (
	// tileFloats is how many numbers are worked on at once: they stay in the second
	// level cache while they are gone through twice.
	tileFloats = 64 << 10
	// worthwhile is how many numbers a goroutine needs to be worth starting, and the
	// table of pairs to be worth emptying.
	worthwhile = 16 << 10
)

// add adds rows of x to s. It returns the index of the first element that is NaN or
// infinite, or −1; what s holds then is meaningless.
//
// Sums go by columns, so that each has its rows in order whatever the number of
// workers. Distributions are counted along the way, or by rows where that gives more
// workers something to do.
func (o *observer) add(s *input, x []float32, rows int) int {
	width := len(s.squares)
	blocks := (width + columns.Width - 1) / columns.Width
	workers := max(1, min(o.workers, rows*width/worthwhile))
	byRows := s.distribution != nil && blocks < workers
	known := math.Float32bits(s.amax)
	o.each(min(workers, blocks), blocks, func(t *observation, from, to int) {
		t.bits = known
		t.run(s, x, rows, from, to, !byRows)
	})
	for _, t := range o.scratch[:min(workers, blocks)] {
		known = max(known, t.bits)
	}
	if byRows {
		o.each(workers, rows, func(t *observation, from, to int) {
			t.bits = known
			t.count(x[from*width:to*width], true)
		})
	}
	s.count += int64(rows)
	s.amax = math.Float32frombits(known)
	if s.distribution != nil {
		for _, t := range o.scratch[:workers] {
			t.values.Take(&t.pairs, t.base)
			s.values.Move(&t.values)
			s.groups.Move(&t.groups)
		}
	}
	if known < infinity {
		return -1
	}
	return firstNonFinite(x[:rows*width])
}

// each divides n things among workers.
func (o *observer) each(workers, n int, fn func(t *observation, from, to int)) {
	var wg sync.WaitGroup
	for w := 1; w < workers; w++ {
		wg.Go(func() { fn(o.scratch[w], n*w/workers, n*(w+1)/workers) })
	}
	fn(o.scratch[0], 0, n/workers)
	wg.Wait()
}

// infinity are the bits of infinity: those of magnitudes that are no numbers are not
// below.
const infinity = 0x7f800000

func firstNonFinite(x []float32) int {
	for i, v := range x {
		if v-v != 0 {
			return i
		}
	}
	return -1
}

// run goes over blocks of columns of all rows. values says whether magnitudes are
// counted too.
func (t *observation) run(s *input, x []float32, rows, from, to int, values bool) {
	width := len(s.squares)
	many := rows*width >= worthwhile
	step := max(8, tileFloats/width)
	if cap(t.maxima) < step {
		t.maxima = make([]float32, step)
	}
	for first := 0; first < rows; first += step {
		maxima := t.maxima[:min(step, rows-first)]
		for b := from; b < to; b++ {
			c := b * columns.Width
			squares, block := s.squares[c:min(c+columns.Width, width)], x[first*width+c:]
			columns.Squares(squares, maxima, block, width)
			for _, m := range maxima {
				t.bits = max(t.bits, math.Float32bits(m))
			}
			if s.distribution == nil {
				continue
			}
			t.groups.Add(maxima)
			for r := 0; values && r < len(maxima); r++ {
				t.count(block[r*width:][:len(squares)], many)
			}
		}
	}
}

// count counts the magnitudes of x, none of which is above that of t.bits. many says
// that there are many of them, so that the table of pairs pays.
//
// The table has the buckets that a sketch keeps when t.bits is the largest magnitude;
// the lowest of them takes what is smaller in both.
func (t *observation) count(x []float32, many bool) {
	if !many {
		t.values.Add(x)
		return
	}
	if base := max(0, sketch.Bucket(math.Float32frombits(t.bits))+1-sketch.Length); base != t.base {
		t.values.Take(&t.pairs, t.base)
		t.base = base
	}
	t.values.Add(columns.Pairs(&t.pairs, t.base, x))
}
