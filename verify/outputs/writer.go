package outputs

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"sync/atomic"

	"quern/formats/safetensors"
	"quern/internal/blockio"
	"quern/store"
)

// Writer writes an outputs file. Rows may come in any order and from several
// goroutines; each element of each tensor is written once. The file has its name
// only after [Writer.Close].
type Writer struct {
	path   string
	out    store.Part
	fields map[string]*field
	starts []int // as in File
	done   bool
}

// Create begins a file: it reserves its space and writes the header and the ids.
func Create(path string, spec Spec) (*Writer, error) { return create(nil, path, spec) }

func create(fsys blockio.FS, path string, spec Spec) (*Writer, error) {
	if err := spec.check(); err != nil {
		return nil, fmt.Errorf("creating %q: %w", path, err)
	}
	w := &Writer{path: path, starts: []int{0}}
	var ids []int
	for _, s := range spec.IDs {
		ids = append(ids, s...)
		w.starts = append(w.starts, len(ids))
	}
	var list []safetensors.Tensor
	w.fields, list = spec.tensors()
	h, head, err := safetensors.NewHeader(list, spec.Metadata)
	if err != nil {
		return nil, fmt.Errorf("creating %q: %w", path, err)
	}
	if w.out, err = store.LocalSink(fsys, filepath.Dir(path)).Create(context.Background(), filepath.Base(path)); err != nil {
		return nil, err
	}
	if err := w.begin(h, head, ids); err != nil {
		w.Abort()
		return nil, fmt.Errorf("writing %q: %w", w.out, err)
	}
	return w, nil
}

// begin writes what is known from the start.
func (w *Writer) begin(h *safetensors.Header, head []byte, ids []int) error {
	size := h.DataOffset
	for _, t := range h.Tensors {
		size = max(size, h.DataOffset+t.End)
	}
	if err := w.out.Reserve(size); err != nil {
		return err
	}
	if err := blockio.WriteFull(w.out, head, 0); err != nil {
		return err
	}
	for _, t := range h.Tensors {
		at := h.DataOffset + t.Begin
		var err error
		switch t.Name {
		case "input_ids":
			err = writeAll(w.out, at, 8, ids, putInt64)
		case "offsets":
			err = writeAll(w.out, at, 8, w.starts, putInt64)
		default:
			w.fields[t.Name].begin = at
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Logits writes n rows of a sequence, from row first on, of each row the logits of
// the ids from id on, width many: values are n·width numbers. Whole rows are
// Logits(seq, first, 0, vocab, values).
func (w *Writer) Logits(seq, first, id, width int, values []float32) error {
	return put(w, "logits", seq, first, id, width, values, putFloat32)
}

// MTPLogits is Logits of the MTP layer, which has a row less.
func (w *Writer) MTPLogits(seq, first, id, width int, values []float32) error {
	return put(w, "mtp_logits", seq, first, id, width, values, putFloat32)
}

// Hidden writes whole rows of hidden.{i}.
func (w *Writer) Hidden(i, seq, first int, values []float32) error {
	name := hiddenName(i)
	return put(w, name, seq, first, 0, w.width(name), values, putFloat32)
}

// Router writes whole rows of the experts that layer l chose, that with the highest
// weight first.
func (w *Writer) Router(l, seq, first int, indices []int32) error {
	name := routerName(l)
	return put(w, name, seq, first, 0, w.width(name), indices, putInt32)
}

// width is the length of a tensor's rows, 0 when there is no such tensor.
func (w *Writer) width(name string) int {
	if f := w.fields[name]; f != nil {
		return f.width
	}
	return 0
}

// put writes a block of a tensor.
func put[E float32 | int32](w *Writer, name string, seq, first, col, width int, values []E, encode func([]byte, E)) error {
	f := w.fields[name]
	if f == nil {
		return fmt.Errorf("writing %q: it was created without %s", w.path, name)
	}
	switch {
	case col < 0 || width <= 0 || width > f.width-col || len(values)%width != 0:
		return fmt.Errorf("writing %q: tensor %q: %d numbers for columns %d…%d of %d", w.path, name, len(values), col, col+width-1, f.width)
	case seq < 0 || seq >= len(w.starts)-1:
		return fmt.Errorf("writing %q: there is no sequence %d", w.path, seq)
	}
	n := len(values) / width
	have, row := w.starts[seq+1]-w.starts[seq], w.starts[seq]+first
	if f.short {
		have, row = have-1, row-seq
	}
	if first < 0 || n > have-first {
		return fmt.Errorf("writing %q: tensor %q has no rows %d…%d of sequence %d", w.path, name, first, first+n-1, seq)
	}
	for i := range n {
		atomic.AddInt32(&f.written[row+i], int32(width))
	}
	if width == f.width { // rows are contiguous
		n, width = min(n, 1), len(values)
	}
	for i := range n {
		at := f.begin + (int64(row+i)*int64(f.width)+int64(col))*4
		if err := writeAll(w.out, at, 4, values[i*width:i*width+width], encode); err != nil {
			return fmt.Errorf("writing %q: tensor %q: %w", w.out, name, err)
		}
	}
	return nil
}

// Close gives the file its name. It refuses a file that was not written whole, and
// removes it as it does when it fails.
func (w *Writer) Close() error {
	if w.done {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(w.fields)) {
		f := w.fields[name]
		for row := range f.written {
			if n := atomic.LoadInt32(&f.written[row]); int(n) != f.width {
				w.Abort()
				return fmt.Errorf("writing %q: tensor %q: %d of %d numbers of row %d were written", w.path, name, n, f.width, row)
			}
		}
	}
	w.done = true
	return w.out.Commit()
}

// Abort removes what was written, unless Close was called before.
func (w *Writer) Abort() {
	if !w.done {
		w.done = true
		w.out.Discard()
	}
}

// writeAll writes values of size bytes each from an offset of the file on.
func writeAll[E any](out store.Part, at int64, size int, values []E, encode func([]byte, E)) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for len(values) > 0 {
		n := min(len(values), pieceElements)
		p := (*buf)[:n*size]
		for i, v := range values[:n] {
			encode(p[i*size:], v)
		}
		if err := blockio.WriteFull(out, p, at); err != nil {
			return err
		}
		values, at = values[n:], at+int64(len(p))
	}
	return nil
}

func putFloat32(p []byte, x float32) { binary.LittleEndian.PutUint32(p, math.Float32bits(x)) }

func putInt32(p []byte, x int32) { binary.LittleEndian.PutUint32(p, uint32(x)) }

func putInt64(p []byte, x int) { binary.LittleEndian.PutUint64(p, uint64(x)) }
