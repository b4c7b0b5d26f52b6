package placement

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"quern/formats/safetensors"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/store"
)

// maxExperts and maxLayers are beyond what models have; what loops over them, and
// over their squares, must end.
const (
	maxExperts = 1 << 12
	maxLayers  = 10_000
)

// reading puts the file in front of an error.
func reading(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("reading %q: %w", path, err)
}

// tensorFile is an open safetensors file of statistics.
type tensorFile struct {
	path string
	file io.ReaderAt
	done func() error // closes the file
	head *safetensors.Header
	at   map[string]int // index in head.Tensors
}

func openTensors(path string) (*tensorFile, error) {
	f, err := store.OpenFile(context.Background(), path)
	if err != nil {
		return nil, err
	}
	t, err := readTensors(path, f, f.Size())
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	t.done = f.Close
	return t, nil
}

func readTensors(path string, f io.ReaderAt, size int64) (*tensorFile, error) {
	h, err := safetensors.ReadHeader(f, size, safetensors.Limits{})
	if err != nil {
		return nil, reading(path, err)
	}
	t := &tensorFile{path: path, file: f, head: h, at: make(map[string]int, len(h.Tensors))}
	for i := range h.Tensors {
		t.at[h.Tensors[i].Name] = i
	}
	return t, nil
}

func (t *tensorFile) close() error {
	if t == nil || t.done == nil {
		return nil
	}
	return t.done()
}

// lookup returns a tensor, nil where there is none.
func (t *tensorFile) lookup(name string) *safetensors.Tensor {
	if i, ok := t.at[name]; ok {
		return &t.head.Tensors[i]
	}
	return nil
}

// blame is an error about a tensor of the file.
func (t *tensorFile) blame(name, format string, args ...any) error {
	return invalid.Errorf("reading %q: tensor %q: %w", t.path, name, fmt.Errorf(format, args...))
}

// integers calls visit with the elements of an integer tensor, in order, from
// element from up to element to.
func (t *tensorFile) integers(x *safetensors.Tensor, from, to int64, visit func(i, v int64) error) error {
	size := int64(8)
	if x.DType == safetensors.I32 {
		size = 4
	}
	const block = 1 << 17 // elements
	buf := make([]byte, size*min(block, max(to-from, 0)))
	for from < to {
		n := min(block, to-from)
		b := buf[:n*size]
		if err := blockio.ReadFull(t.file, b, t.head.DataOffset+x.Begin+from*size); err != nil {
			return reading(t.path, fmt.Errorf("tensor %q: %w", x.Name, err))
		}
		for i := range n {
			v := int64(0)
			switch x.DType {
			case safetensors.I32:
				v = int64(int32(binary.LittleEndian.Uint32(b[i*4:])))
			case safetensors.U64:
				u := binary.LittleEndian.Uint64(b[i*8:])
				if u > 1<<62 {
					return t.blame(x.Name, "element %d is %d, which is no count", from+i, u)
				}
				v = int64(u)
			default:
				v = int64(binary.LittleEndian.Uint64(b[i*8:]))
			}
			if err := visit(from+i, v); err != nil {
				return err
			}
		}
		from += n
	}
	return nil
}
