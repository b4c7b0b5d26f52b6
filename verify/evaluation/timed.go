package evaluation

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"io"
	"math"
	"time"

	"quern/corpus"
	"quern/internal/blockio"
	"quern/runner"
)

// timed evaluates chunks, and says how many seconds that took. It goes on where an
// earlier run of the same was cut: trail is what the hooks have gathered, which is saved
// as name with the hidden states behind a layer.
func timed(ctx context.Context, m *runner.Model, chunks []corpus.Chunk, o *Options, what, name string, hooks *runner.Hooks, gathered trail) (*runner.Evaluation, float64, error) {
	ro := o.runner(what, hooks)
	t := trip{m: m, trail: gathered, start: time.Now()}
	rows := 0
	for i := range chunks {
		rows += len(chunks[i].IDs)
	}
	if saved, size := o.Records.Load(name); saved != nil {
		defer func() { _ = saved.Close() }()
		if layer, ok := t.load(saved, size, rows); ok {
			ro.Resume = &runner.Resume{Layer: layer, Hidden: t.hidden(saved)}
			if o.Resumed != nil {
				o.Resumed(what, layer, m.Layers())
			}
		}
	}
	hooks.Done = func(layer int, x *runner.Rows) error {
		if layer >= m.Layers() || !m.Resumable(layer+1) {
			return nil
		}
		n := 4 * int64(x.Len()) * int64(x.Width())
		if o.Records.Due(n, layer == m.Layers()-1) {
			if o.Records.Save(name, func(w io.Writer) error { return t.save(w, layer+1, x) }) && o.Saved != nil {
				o.Saved(what, layer+1, m.Layers())
			}
		}
		return nil
	}
	ev, err := m.Evaluate(ctx, corpus.Sequences(chunks), ro)
	if err != nil {
		return nil, 0, err
	}
	return ev, t.seconds(), nil
}

// trail is what hooks gather in the layers that are done.
type trail interface {
	encode() (r io.Reader, size int64, err error)
	decode(io.Reader) error // of what encode gave, into one that has gathered nothing
}

// errTrail is told nobody: what cannot be gone on with is done anew.
var errTrail = errors.New("a trail of other layers")

// gobTrail is a small trail: what a pointer leads to, as gob.
type gobTrail struct{ to any }

func (t gobTrail) encode() (io.Reader, int64, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(t.to)
	return &b, int64(b.Len()), err
}

func (t gobTrail) decode(r io.Reader) error { return gob.NewDecoder(r).Decode(t.to) }

// trip is an evaluation that may have begun in an earlier run. A saved one is
//
//	layer, rows, width, seconds (as float64), bytes of the trail: 8 bytes each
//	the trail; hidden states, as float32
type trip struct {
	m      *runner.Model
	trail  trail
	start  time.Time
	before float64 // seconds of earlier runs
	at     int64   // of the hidden states
	width  int
}

const tripHead = 5 * 8

func (t *trip) seconds() float64 { return t.before + time.Since(t.start).Seconds() }

func (t *trip) save(w io.Writer, layer int, x *runner.Rows) error {
	trail, size, err := t.trail.encode()
	if err != nil {
		return err
	}
	var head []byte
	for _, v := range []uint64{uint64(layer), uint64(x.Len()), uint64(x.Width()), math.Float64bits(t.seconds()), uint64(size)} {
		head = binary.LittleEndian.AppendUint64(head, v)
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	if n, err := io.Copy(w, trail); err != nil || n != size {
		return cmp.Or(err, io.ErrShortWrite)
	}
	step := max(1, (1<<20)/(4*x.Width()))
	buf, raw := make([]float32, step*x.Width()), make([]byte, 0, 4*step*x.Width())
	for first := 0; first < x.Len(); first += step {
		rows, err := x.View(first, min(step, x.Len()-first), buf)
		if err != nil {
			return err
		}
		raw = raw[:0]
		for _, v := range rows {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		if _, err := w.Write(raw); err != nil {
			return err
		}
	}
	return nil
}

// load takes what save wrote of so many rows, if an evaluation can go on with it.
func (t *trip) load(r io.ReaderAt, size int64, rows int) (layer int, ok bool) {
	var head [5]uint64
	if binary.Read(io.NewSectionReader(r, 0, size), binary.LittleEndian, &head) != nil {
		return 0, false
	}
	layer, t.width = int(head[0]), int(head[2])
	trail := int64(head[4])
	if layer < 1 || layer > t.m.Layers() || !t.m.Resumable(layer) || int(head[1]) != rows || t.width != t.m.Width() ||
		trail < 0 || size != tripHead+trail+4*int64(rows)*int64(t.width) {
		return 0, false
	}
	if t.trail.decode(io.NewSectionReader(r, tripHead, trail)) != nil {
		return 0, false
	}
	t.before, t.at = math.Float64frombits(head[3]), tripHead+trail
	return layer, true
}

// hidden is how the runner gets the states back.
func (t *trip) hidden(r io.ReaderAt) func(first int, x []float32) error {
	var raw []byte
	return func(first int, x []float32) error {
		if cap(raw) < 4*len(x) {
			raw = make([]byte, 4*len(x))
		}
		raw = raw[:4*len(x)]
		if err := blockio.ReadFull(r, raw, t.at+4*int64(first)*int64(t.width)); err != nil {
			return err
		}
		for i := range x {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		return nil
	}
}
