package runner

import (
	"encoding/binary"
	"fmt"
	"sync"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/runner/ngram"
	"quern/runner/recur"
	"quern/source"
)

// grams adds embeddings of n-grams to the streams (Qwen3.8, runner/ngram): rows of large
// tables, of which those are read that a text needs.
type grams struct {
	tables             []*matrix // one behind the other
	key, value         *matrix
	kernel             *vector
	ofKey, ofQuery     *vector // norms, stream by stream
	ofConv             *vector
	multipliers, sizes *plan.Tensor
	offsets            *plan.Tensor
	layer              int
	streams, width     int // width of the convolution
	size               int // of the longest n-gram
	heads, dim         int // of an n-gram's embedding
	eps                float32
	end                int64

	once sync.Once
	hash ngram.Hash
	err  error
}

func newGrams(s *site) (mixer, error) {
	c := s.c
	n := &c.NGram
	heads := (n.Size - 1) * n.Heads
	if n.Size < 2 || n.Heads <= 0 || n.EmbedDim <= 0 || n.EmbedDim%heads != 0 || n.ConvKernel <= 0 || len(c.EOS) == 0 {
		return nil, invalid.Errorf("config.json: embeddings of %d channels of up to %d tokens with %d heads each, behind a convolution of %d, and %d end-of-text tokens", n.EmbedDim, n.Size, n.Heads, n.ConvKernel, len(c.EOS))
	}
	wide := c.HCMult * c.HiddenSize
	norm := func(part string) *vector {
		v := s.vector(key{role: model.Norm, layer: s.layer, part: part}, wide)
		v.plus = 1
		return v
	}
	buffer := func(part string) *plan.Tensor {
		return s.find(key{role: model.Buffer, layer: s.layer, part: part})
	}
	g := &grams{
		key: s.weight(model.LayerEmbedding, "key"), value: s.weight(model.LayerEmbedding, "value"),
		kernel: s.numbers(key{role: model.Conv, layer: s.layer}, wide, 1, n.ConvKernel),
		ofKey:  norm("norm_key"), ofQuery: norm("norm_query"), ofConv: norm("norm_conv"),
		multipliers: buffer("layer_multipliers"), sizes: buffer("ngram_heads_vocab_sizes"), offsets: buffer("ngram_heads_offsets"),
		layer: s.layer, streams: c.HCMult, width: n.ConvKernel, size: n.Size, heads: heads, dim: n.EmbedDim / heads, eps: eps(c), end: int64(c.EOS[0]),
	}
	for i := range max(n.Parts, 1) {
		g.tables = append(g.tables, s.matrix(key{role: model.LayerEmbedding, layer: s.layer, part: "table", piece: i}))
	}
	if s.err != nil {
		return nil, s.err
	}
	for _, t := range g.tables {
		if t.in != g.dim {
			return nil, invalid.Errorf("tensor %q: rows of %d, but the config says %d", t.name, t.in, g.dim)
		}
	}
	return g, nil
}

func (g *grams) needs(p *part) {
	p.matrices(g.key, g.value)
	p.vectors(g.kernel, g.ofKey, g.ofQuery, g.ofConv)
}

func (g *grams) scratch() int { return g.heads*g.dim + 4*g.key.out + g.value.out }

func (g *grams) conv() recur.Conv {
	return recur.Conv{Channels: g.key.out, Width: g.width, Dilation: g.size}
}

// gramState is what is kept of a text: its tokens, and the rows that its convolution has
// not done with.
type gramState struct {
	tokens      []int32
	conv        recur.Conv // without weights
	now, marked []float32
	since       []float32
	at          int // tokens at the mark
}

func (g *grams) newState() state {
	c := g.conv()
	return &gramState{conv: c, now: make([]float32, c.StateSize())}
}

func (s *gramState) push(rows []float32, n int) {
	s.conv.Push(s.now, rows, n)
	if s.marked != nil {
		s.since = append(s.since, rows...)
	}
}

func (s *gramState) mark() {
	s.marked, s.since, s.at = append(s.marked[:0], s.now...), s.since[:0], len(s.tokens)
}

func (s *gramState) rewind(n int) {
	if n == len(s.tokens) {
		return
	}
	s.tokens, s.since = s.tokens[:n], s.since[:(n-s.at)*s.conv.Channels]
	copy(s.now, s.marked)
	s.conv.Push(s.now, s.since, n-s.at)
}

// prepare reads the numbers that n-grams are looked up by.
func (g *grams) prepare(p *pass) error {
	g.once.Do(func() {
		var lists [3][]int64
		for i, t := range []*plan.Tensor{g.multipliers, g.sizes, g.offsets} {
			if lists[i], g.err = integers(p.m.files, t); g.err != nil {
				return
			}
		}
		g.hash = ngram.Hash{Multipliers: lists[0], Sizes: lists[1], Offsets: lists[2], End: g.end}
		if len(lists[0]) != g.size || len(lists[1]) != g.heads || len(lists[2]) != g.heads {
			g.err = invalid.Errorf("tensor %q: %d multipliers, %d sizes and %d offsets for %d heads of n-grams of up to %d tokens", g.multipliers.Name, len(lists[0]), len(lists[1]), len(lists[2]), g.heads, g.size)
			return
		}
		rows := int64(0)
		for _, t := range g.tables {
			rows += int64(t.out)
		}
		for i, n := range g.hash.Sizes {
			if n <= 0 || g.hash.Offsets[i] < 0 || g.hash.Offsets[i] > rows-n {
				g.err = invalid.Errorf("tensor %q: head %d has %d rows from row %d on, of %d", g.sizes.Name, i, n, g.hash.Offsets[i], rows)
				return
			}
		}
	})
	return g.err
}

// integers reads a vector of I64.
func integers(files *source.Files, t *plan.Tensor) ([]int64, error) {
	if t.DType != safetensors.I64 {
		return nil, invalid.Errorf("tensor %q: %s instead of I64", t.Name, t.DType)
	}
	raw := make([]byte, t.Source.Bytes())
	if err := files.Read(&t.Source, raw, 0); err != nil {
		return nil, err
	}
	out := make([]int64, len(raw)/8)
	for i := range out {
		out[i] = int64(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	return out, nil
}

// mix adds to the streams, which are the raw input.
func (g *grams) mix(p *pass, _, _ []float32, b *batch) error {
	if err := g.prepare(p); err != nil {
		return err
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	rows, wide := b.n, g.key.out
	e := p.arena.floats(rows * g.heads * g.dim)
	if err := g.embed(p, e, b); err != nil {
		return err
	}
	keys, values, query := p.arena.floats(rows*wide), p.arena.floats(rows*g.value.out), p.arena.floats(rows*wide)
	p.linear(keys, e, rows, g.key, nil)
	p.linear(values, e, rows, g.value, nil)
	p.byStream(keys, keys, rows, g.streams, g.ofKey, g.eps)
	p.byStream(query, b.raw, rows, g.streams, g.ofQuery, g.eps)
	p.each(rows, 4*wide, func(first, n, _ int) {
		for r := first; r < first+n; r++ {
			k := keys[r*wide:][:wide]
			ngram.Gate(k, k, query[r*wide:][:wide], values[r*g.value.out:][:g.value.out])
		}
	})
	normed := query
	p.byStream(normed, keys, rows, g.streams, g.ofConv, g.eps)
	conv := g.conv()
	conv.Weight = p.weights.vector(g.kernel)
	out := p.arena.floats(rows * wide)
	for _, s := range b.segs {
		in := normed[s.first*wide:][:s.n*wide]
		var kept *gramState
		var state []float32
		if s.memory != nil {
			kept = s.memory.of(g).(*gramState)
			state = kept.now
		} else {
			state = make([]float32, conv.StateSize())
		}
		p.each(s.n, 8*wide*g.width, func(first, n, _ int) {
			conv.Rows(out[(s.first+first)*wide:][:n*wide], in, state, first, n)
		})
		if kept != nil {
			kept.push(in, s.n)
		}
	}
	p.add(b.raw, keys, rows, wide)
	p.add(b.raw, out, rows, wide)
	return nil
}

// embed gathers the embeddings of the n-grams that end with the tokens of a batch. Of an
// evaluation each row is read once, and then kept on the shelf.
func (g *grams) embed(p *pass, e []float32, b *batch) error {
	ids := make([]int64, g.heads)
	var at map[int64]int // rows on the shelf
	var kept *Rows
	for _, s := range b.segs {
		var history []int32
		var state *gramState
		if s.memory != nil {
			state = s.memory.of(g).(*gramState)
			history = state.tokens
		}
		if kept == nil && (state == nil || s.piece) {
			var err error
			name := fmt.Sprint("n-grams of layer ", g.layer)
			if kept, err = b.shelf.of(name, b.rows*g.heads, g.dim); err != nil {
				return err
			}
			at = b.shelf.index(name)
		}
		from := len(history)
		for _, t := range b.tokens[s.first:][:s.n] {
			history = append(history, int32(t))
		}
		if state != nil {
			state.tokens = history
		}
		for i := range s.n {
			end := from + i + 1
			g.hash.Rows(ids, history[max(0, end-1-g.hash.Context()):end])
			for h, id := range ids {
				row := e[((s.first+i)*g.heads+h)*g.dim:][:g.dim]
				if err := g.row(p, row, id, at, kept); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// row reads a row of the tables, or finds it among those that were kept.
func (g *grams) row(p *pass, dst []float32, id int64, at map[int64]int, kept *Rows) error {
	if i, ok := at[id]; ok {
		got, err := kept.View(i, 1, dst)
		if err == nil && kept.file == nil {
			copy(dst, got)
		}
		return err
	}
	first := int64(0)
	for _, t := range g.tables {
		if id < first+int64(t.out) {
			if err := t.row(p.m.files, dst, make([]byte, t.bytes()/int64(t.out)), int(id-first)); err != nil {
				return err
			}
			break
		}
		first += int64(t.out)
	}
	if kept == nil {
		return nil
	}
	at[id] = len(at)
	return kept.put(at[id], dst)
}
