package runner

import (
	"context"
	"runtime"
	"sort"
	"sync"

	"quern/gemm"
	"quern/internal/vec"
)

// Hooks are called while a model runs. Slices that they get are only valid during
// the call; nil hooks are not called. Calls come from one goroutine at a time.
type Hooks struct {
	// Input has what linear modules are applied to. It is called for every linear of
	// attention, feed-forward blocks and experts, once for all modules that share an
	// input; and for the output head not at all.
	Input func(a *Activations)
	// Route has the choice of a layer's router for tokens first, first+1, … of all
	// texts: ids and weights (as applied, renormalized and scaled) are rows of k.
	Route func(layer, first int, ids []int32, weights []float32, k int)
	// Cached has what attention keeps of tokens, by kind: "k" (keys, rotated) and "v",
	// or of latent attention "kv_latent" (normalized) and "k", the rotated key that the
	// heads share. The module is that of attention.
	Cached func(kind string, a *Activations)
	// Hidden has the hidden states that a layer begins with, by the rows of all texts;
	// layer Layers() stands for those behind the final norm.
	Hidden func(layer, first int, x []float32, rows int) error
	// Done is called when a layer is done with all texts. What lies in x is what the
	// next layer begins with, so that an evaluation can be resumed there (see Resume);
	// layer Layers() is that of multi-token prediction.
	Done func(layer int, x *Rows) error
}

// Activations are rows of numbers that modules are applied to, or that they give.
type Activations struct {
	Modules     []string // paths
	X           []float32
	Rows, Width int
	place       place
}

// Place says which text a row is of, and which position in it.
func (a *Activations) Place(row int) (text, position int) { return a.place.of(row) }

// place says which tokens rows belong to.
type place struct {
	starts []int   // the rows at which texts begin, and their number
	first  int     // the row of all texts that the first one is
	tokens []int32 // or all of them, where they do not follow each other
}

func (p *place) of(row int) (text, position int) {
	if p.tokens != nil {
		row = int(p.tokens[row])
	}
	row += p.first
	text = sort.SearchInts(p.starts, row+1) - 1
	return text, row - p.starts[text]
}

// pass is one way through the layers: how it computes and where weights come from.
type pass struct {
	m       *Model
	ctx     context.Context
	workers int
	few     bool // at most eight rows: a row's result depends on nothing but the row
	product product
	emulate bool                // round inputs as engines do
	static  map[*matrix]float32 // with these scales, where there is one
	hooks   *Hooks
	place   place // of the rows that are under way, for the hooks
	weights provider
	arena   *arena
	helpers []pass
	room    int // numbers of scratch memory for scores, and as many for keys and values
}

// usualRoom is the room of a pass over few rows.
const usualRoom = 8 << 20

// newPass is a pass of workers goroutines, 0 for one a processor.
func newPass(m *Model, ctx context.Context, workers int, weights provider) *pass {
	n := workersOf(workers)
	p := &pass{m: m, ctx: ctx, workers: n, product: product{workers: n}, weights: weights, arena: &arena{}, helpers: make([]pass, n), room: usualRoom}
	for i := range p.helpers {
		p.helpers[i].arena = &arena{}
	}
	return p
}

// linear is y = x·Wᵀ + b for rows of x, stored one behind the other like those of y.
func (p *pass) linear(y, x []float32, rows int, m *matrix, bias *vector) {
	p.multiply(y, x, rows, m)
	if bias != nil {
		b := p.weights.vector(bias)
		for r := range rows {
			vec.Add(y[r*m.out:][:m.out], b)
		}
	}
}

// multiply is linear without a bias.
func (p *pass) multiply(y, x []float32, rows int, m *matrix) {
	if c := p.weights.coded(m); c != nil {
		mark := p.arena.mark()
		defer p.arena.release(mark)
		p.multiplyCoded(y, p.rounded(x, rows, m), rows, c)
		return
	}
	p.multiplyBy(y, x, rows, m, p.weights.matrix(m))
}

// multiplyBy is multiply with w, some rows of m.
func (p *pass) multiplyBy(y, x []float32, rows int, m *matrix, w *gemm.Weight) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	x = p.rounded(x, rows, m)
	if p.few {
		gemm.MulFew(y, w.Out, x, m.in, rows, w, gemm.Options{Workers: p.workers})
		return
	}
	p.product.mul(y, w.Out, x, m.in, rows, w)
}

// observe tells the hooks what modules are applied to.
func (p *pass) observe(x []float32, rows int, ms ...*matrix) {
	if p.hooks == nil || p.hooks.Input == nil || rows == 0 {
		return
	}
	names := make([]string, 0, len(ms))
	for _, m := range ms {
		if m != nil {
			names = append(names, m.module)
		}
	}
	p.hooks.Input(&Activations{Modules: names, X: x, Rows: rows, Width: ms[0].in, place: p.place})
}

// cached tells the hooks what attention keeps.
func (p *pass) cached(module, kind string, x []float32, rows, width int) {
	if p.hooks != nil && p.hooks.Cached != nil && rows > 0 {
		p.hooks.Cached(kind, &Activations{Modules: []string{module}, X: x, Rows: rows, Width: width, place: p.place})
	}
}

// worthwhile is how many simple operations a goroutine has to be given to be worth
// starting: it takes some microseconds.
const worthwhile = 32 << 10

// each divides n items of cost operations among the workers. fn gets a range and
// the number of the worker.
func (p *pass) each(n, cost int, fn func(first, n, worker int)) {
	workers := min(p.workers, n, max(1, n*cost/worthwhile))
	if workers <= 1 {
		if n > 0 {
			fn(0, n, 0)
		}
		return
	}
	var wg sync.WaitGroup
	for w := 1; w < workers; w++ {
		a, b := n*w/workers, n*(w+1)/workers
		wg.Go(func() { fn(a, b-a, w) })
	}
	fn(0, n/workers, 0)
	wg.Wait()
}

// jobs runs n jobs of unequal cost on the workers, each taking the next one.
func (p *pass) jobs(n, cost int, fn func(job, worker int)) {
	workers := min(p.workers, n, max(1, n*cost/worthwhile))
	if workers <= 1 {
		for i := range n {
			fn(i, 0)
		}
		return
	}
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range next {
				fn(i, w)
			}
		})
	}
	wg.Wait()
}

// add adds rows of y to those of x.
func (p *pass) add(x, y []float32, rows, width int) {
	p.each(rows, width, func(first, n, _ int) {
		vec.Add(x[first*width:][:n*width], y[first*width:][:n*width])
	})
}

// helper is a pass for one of the goroutines that share work: on one processor, with
// an arena of its own.
func (p *pass) helper(worker int) *pass {
	h := &p.helpers[worker]
	h.m, h.ctx, h.workers, h.product, h.few, h.weights = p.m, p.ctx, 1, product{workers: 1}, p.few, p.weights
	h.emulate, h.static = p.emulate, p.static
	return h
}

// arena hands out scratch memory that is given back in reverse order. It grows to
// what a pass needs and is then reused.
type arena struct {
	chunks [][]float32
	chunk  int // in use
	used   int // of it
	live   int // numbers in use
	most   int // at once, so far
}

type arenaMark struct{ chunk, used, live int }

func (a *arena) mark() arenaMark { return arenaMark{a.chunk, a.used, a.live} }

func (a *arena) release(m arenaMark) { a.chunk, a.used, a.live = m.chunk, m.used, m.live }

// settle makes one chunk of several, where nothing is in use: of as many numbers as were
// in use at once, where those of different blocks had chunks of their own.
func (a *arena) settle() {
	if a.live == 0 && len(a.chunks) > 1 {
		n := 0
		for _, c := range a.chunks {
			n += len(c)
		}
		a.chunks, a.chunk, a.used = nil, 0, 0
		reclaim(4 * int64(n))
	}
}

// floats returns n numbers of any value.
func (a *arena) floats(n int) []float32 {
	a.live += n
	a.most = max(a.most, a.live)
	for a.chunk < len(a.chunks) {
		if c := a.chunks[a.chunk]; len(c)-a.used >= n {
			a.used += n
			return c[a.used-n : a.used : a.used]
		}
		a.chunk, a.used = a.chunk+1, 0
	}
	size := n
	if len(a.chunks) == 0 {
		size = a.most
	}
	for _, c := range a.chunks { // few chunks, with little slack
		size = max(size, min(len(c), 1<<20))
	}
	a.chunks = append(a.chunks, make([]float32, size))
	a.chunk, a.used = len(a.chunks)-1, n
	return a.chunks[a.chunk][:n:n]
}

// workersOf resolves the number of workers of options.
func workersOf(n int) int {
	if n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}
