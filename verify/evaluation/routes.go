package evaluation

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"quern/corpus"
	"quern/runner"
)

// routes are the choices of experts of a model: rows of k by layer, in 16 bits. They lie in
// memory, or in a temporary file that is gone with the process.
type routes struct {
	layers map[int]*layerRoutes
	rows   int   // that a layer has in the end
	bytes  int64 // in memory
	file   *os.File
	end    int64 // of the file
	err    error
}

type layerRoutes struct {
	k, rows int
	ids     []byte // or in the file
	at      int64
}

// newRoutes makes room for the choices of a model over chunks, in memory if that is no more
// than so many bytes.
func newRoutes(m *runner.Model, chunks []corpus.Chunk, memory int64, dir string) (*routes, error) {
	r := &routes{layers: map[int]*layerRoutes{}}
	for _, c := range chunks {
		r.rows += len(c.IDs)
	}
	for _, l := range m.Routed() {
		x := &layerRoutes{k: l.TopK, at: r.end}
		r.layers[l.Layer] = x
		r.end += 2 * int64(l.TopK) * int64(r.rows)
	}
	if r.end <= memory {
		r.bytes = r.end
		return r, nil
	}
	f, err := os.CreateTemp(dir, "quern-routes-*")
	if err != nil {
		return nil, fmt.Errorf("making room for choices of experts: %w", err)
	}
	_ = os.Remove(f.Name()) // where that is not possible it is removed in close
	r.file = f
	return r, nil
}

func (r *routes) close() {
	if r != nil && r.file != nil {
		_ = r.file.Close()
		_ = os.Remove(r.file.Name())
	}
}

// record is the hook that fills r.
func (r *routes) record() *runner.Hooks {
	var raw []byte
	return &runner.Hooks{Route: func(layer, _ int, ids []int32, _ []float32, k int) {
		l := r.layers[layer]
		if l == nil || r.err != nil {
			return
		}
		raw = raw[:0]
		for _, id := range ids {
			raw = binary.LittleEndian.AppendUint16(raw, uint16(id))
		}
		if r.file == nil {
			l.ids = append(l.ids, raw...)
		} else if _, err := r.file.WriteAt(raw, l.at+2*int64(l.rows*k)); err != nil {
			r.err = fmt.Errorf("setting choices of experts aside: %w", err)
		}
		l.rows += len(ids) / k
	}}
}

// of appends n choices of a layer, from row first on.
func (r *routes) of(dst []int32, l *layerRoutes, first, n int) ([]int32, error) {
	from := 2 * first * l.k
	var raw []byte
	if r.file == nil {
		raw = l.ids[from:][:2*n]
	} else {
		raw = make([]byte, 2*n)
		if _, err := r.file.ReadAt(raw, l.at+int64(from)); err != nil {
			return dst, fmt.Errorf("reading choices of experts back: %w", err)
		}
	}
	for i := range n {
		dst = append(dst, int32(binary.LittleEndian.Uint16(raw[2*i:])))
	}
	return dst, nil
}

// encode implements trail: layer, k and rows (8 bytes each) of each layer, and its choices
// behind.
func (r *routes) encode() (io.Reader, int64, error) {
	var parts []io.Reader
	n := int64(0)
	for _, layer := range slices.Sorted(maps.Keys(r.layers)) {
		l := r.layers[layer]
		head := make([]byte, 0, routesHead)
		for _, v := range []int{layer, l.k, l.rows} {
			head = binary.LittleEndian.AppendUint64(head, uint64(v))
		}
		var ids io.Reader = bytes.NewReader(l.ids)
		if r.file != nil {
			ids = io.NewSectionReader(r.file, l.at, l.size())
		}
		parts = append(parts, bytes.NewReader(head), ids)
		n += routesHead + l.size()
	}
	return io.MultiReader(parts...), n, r.err
}

const routesHead = 3 * 8

// size is the number of bytes of a layer's choices.
func (l *layerRoutes) size() int64 { return 2 * int64(l.rows) * int64(l.k) }

// decode implements trail. r is as newRoutes makes it for the same chunks.
func (r *routes) decode(from io.Reader) (err error) {
	defer func() {
		if err != nil {
			for _, l := range r.layers {
				l.rows, l.ids = 0, nil
			}
		}
	}()
	for range r.layers {
		var head [3]uint64
		if err := binary.Read(from, binary.LittleEndian, &head); err != nil {
			return err
		}
		l := r.layers[int(head[0])]
		if l == nil || l.k != int(head[1]) || head[2] > uint64(r.rows) {
			return errTrail
		}
		l.rows = int(head[2])
		if r.file != nil {
			if _, err := io.CopyN(io.NewOffsetWriter(r.file, l.at), from, l.size()); err != nil {
				return err
			}
			continue
		}
		l.ids = make([]byte, l.size())
		if _, err := io.ReadFull(from, l.ids); err != nil {
			return err
		}
	}
	return nil
}
