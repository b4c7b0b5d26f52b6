package outputs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"quern/formats/safetensors"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/store"
)

// File is an opened outputs file. Its methods may be called by several goroutines.
type File struct {
	Path     string
	IDs      [][]int // by sequence; each has at least one
	Vocab    int     // logits of a row
	HasMTP   bool
	Hidden   []int             // the i of each hidden.{i}, ascending
	Routers  []int             // the l of each router.{l}.indices, ascending
	Ignored  []string          // tensors that have no meaning here, by name
	Metadata map[string]string // as the file has it

	in store.Object

	starts  []int // the first token of each sequence, then the number of all
	logits  tensor
	mtp     tensor
	hidden  map[int]tensor
	routers map[int]tensor
}

// tensor is a tensor with a row for each token, or for each but the last of every
// sequence.
type tensor struct {
	name  string
	dtype safetensors.DType
	begin int64 // in the file
	width int   // elements of a row
	short bool  // a row less for each sequence
}

// Open opens an outputs file: it reads the header and the ids. Close it.
func Open(path string) (*File, error) {
	in, err := store.OpenFile(context.Background(), path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, invalid.Errorf("%s: no such file", path)
	}
	if err != nil {
		return nil, err
	}
	return open(path, in)
}

func open(path string, in store.Object) (*File, error) {
	f := &File{Path: path, in: in, hidden: map[int]tensor{}, routers: map[int]tensor{}}
	if err := f.read(); err != nil {
		_ = in.Close()
		return nil, fmt.Errorf("reading %q: %w", path, err)
	}
	return f, nil
}

// Close closes the file.
func (f *File) Close() error { return f.in.Close() }

// read reads the header and the ids.
func (f *File) read() error {
	h, err := safetensors.ReadHeader(f.in, f.in.Size(), safetensors.Limits{})
	if err != nil {
		return err
	}
	f.Metadata = h.Metadata
	byName := make(map[string]*safetensors.Tensor, len(h.Tensors))
	for i := range h.Tensors {
		t := &h.Tensors[i]
		t.Begin += h.DataOffset // from here on offsets in the file
		t.End += h.DataOffset
		byName[t.Name] = t
	}
	l, err := f.layOut(byName["input_ids"], byName["offsets"])
	if err != nil {
		return err
	}
	if err := f.place(h.Tensors, l); err != nil {
		return err
	}
	return f.readIDs(byName["input_ids"])
}

// place finds the meaning of each tensor.
func (f *File) place(tensors []safetensors.Tensor, l *layout) (err error) {
	for i := range tensors {
		t := &tensors[i]
		if n, ok := number(t.Name, "hidden.", ""); ok {
			if f.hidden[n], err = l.rows(t, floats, l.whole); err != nil {
				return err
			}
			f.Hidden = append(f.Hidden, n)
			continue
		}
		if n, ok := number(t.Name, "router.", ".indices"); ok {
			if f.routers[n], err = l.rows(t, integers, l.either); err != nil {
				return err
			}
			f.Routers = append(f.Routers, n)
			continue
		}
		switch t.Name {
		case "input_ids", "offsets": // read already
		case "logits":
			f.logits, err = l.rows(t, floats, l.whole)
		case "mtp_logits":
			f.HasMTP = true
			f.mtp, err = l.rows(t, floats, l.either)
		default:
			f.Ignored = append(f.Ignored, t.Name)
		}
		if err != nil {
			return err
		}
	}
	switch f.Vocab = f.logits.width; {
	case f.Vocab == 0:
		return invalid.Errorf(`tensor "logits" is missing`)
	case f.HasMTP && f.mtp.width != f.Vocab:
		return invalid.Errorf(`tensor "mtp_logits": %d logits a row, "logits" has %d`, f.mtp.width, f.Vocab)
	}
	slices.Sort(f.Hidden)
	slices.Sort(f.Routers)
	slices.Sort(f.Ignored)
	return nil
}

// number returns n of a name like prefix + n + suffix, if n is written the one way
// that there is.
func number(name, prefix, suffix string) (int, bool) {
	s, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	if s, ok = strings.CutSuffix(s, suffix); !ok {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == s
}

// readIDs reads input_ids into f.IDs.
func (f *File) readIDs(t *safetensors.Tensor) error {
	all, err := f.integers(t)
	if err != nil {
		return err
	}
	for i, id := range all {
		if id < 0 || id >= f.Vocab {
			s, _ := slices.BinarySearch(f.starts, i+1)
			s--
			return invalid.Errorf("tensor %q: sequence %d, position %d: id %d is not one of 0…%d, as logits has them", t.Name, s, i-f.starts[s], id, f.Vocab-1)
		}
	}
	for s, start := range f.starts[1:] {
		f.IDs = append(f.IDs, all[f.starts[s]:start:start])
	}
	return nil
}

// integers reads a whole tensor of integers.
func (f *File) integers(t *safetensors.Tensor) ([]int, error) {
	out := make([]int, t.Elements())
	err := f.pieces(t.Name, t.DType, t.Begin, len(out), func(at int, p []byte) {
		decodeInts(out[at:], p, t.DType)
	})
	return out, err
}

// unchanged refuses a file that has been written to since it was opened.
func (f *File) unchanged() error {
	err := f.in.Check()
	if errors.Is(err, store.ErrChanged) {
		return invalid.Errorf("reading %q: the file changed while it was read; run the command again when nothing writes to it", f.Path)
	}
	return err
}

// pieceElements is how many elements are read at once.
const pieceElements = 64 << 10

// pieces reads n elements at an offset of the file and hands them to f piece by
// piece; at is the index of a piece's first element.
func (f *File) pieces(name string, d safetensors.DType, offset int64, n int, each func(at int, p []byte)) error {
	size := int(d.Bits() / 8)
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for at := 0; at < n; at += pieceElements {
		p := (*buf)[:min(pieceElements, n-at)*size]
		err := blockio.ReadFull(f.in, p, offset+int64(at)*int64(size))
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return invalid.Errorf("tensor %q: the file became shorter while it was read", name)
		case err != nil:
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		each(at, p)
	}
	return nil
}
