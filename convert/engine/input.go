package engine

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"quern/convert/plan"
	"quern/internal/blake3"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/store"
)

// input opens input file i on first use and makes sure that it is the file
// that was planned with: stamp and header.
func (e *engine) input(i int) (store.Object, error) {
	e.inMu.Lock()
	defer e.inMu.Unlock()
	if e.inputs[i] != nil {
		return e.inputs[i], nil
	}
	src, want := e.opts.Sources[i], e.plan.Input.Files[i]
	f, err := e.opts.In.Open(e.ctx, src.Name)
	if err != nil {
		return nil, err
	}
	same := f.Stamp() == src.Stamp
	if same {
		raw := make([]byte, want.Data)
		err := blockio.ReadFull(f, raw, 0)
		if err != nil && err != io.ErrUnexpectedEOF {
			_ = f.Close()
			return nil, fmt.Errorf("reading %q: %w", src.Path, err)
		}
		sum := blake3.Sum256(raw)
		same = err == nil && hex.EncodeToString(sum[:]) == want.Header
	}
	if !same {
		_ = f.Close()
		return nil, changed(src.Path)
	}
	f.Sequential()
	e.here[i] = store.Uncached(f)
	e.inputs[i] = f
	return f, nil
}

// files lists the input files that a shard is made from.
func (e *engine) files(s *plan.Shard) []int {
	var list []int
	add := func(v *plan.View) {
		if !slices.Contains(list, v.File) {
			list = append(list, v.File)
		}
	}
	for _, i := range s.Tensors {
		t := &e.plan.Tensors[i]
		if t.Op == plan.Constant {
			continue
		}
		r := t.Reading()
		eachView(&r, add)
		if s := e.surveys[t.Quant.Survey]; s != nil {
			for k := range s.Of {
				eachView(&s.Of[k], add)
			}
		}
	}
	return list
}

// allInputs lists all input files.
func (e *engine) allInputs() []int {
	list := make([]int, len(e.inputs))
	for i := range list {
		list[i] = i
	}
	return list
}

// unchanged refuses input that was written to while it was read. It is asked
// before a shard is published, so that what has its final name was made from
// the files that were planned with.
func (e *engine) unchanged(files []int) error {
	e.inMu.Lock()
	defer e.inMu.Unlock()
	for _, i := range files {
		f := e.inputs[i]
		if f == nil {
			continue
		}
		switch err := f.Check(); {
		case errors.Is(err, store.ErrChanged):
			return changed(e.opts.Sources[i].Path)
		case err != nil:
			return err
		}
	}
	return nil
}

func changed(path string) error {
	return invalid.Errorf("reading %q: the file changed while it was being converted: run the command again when nothing writes to it; what was made from other files is kept", path)
}

func (e *engine) closeInputs() {
	for _, f := range e.inputs {
		if f != nil {
			_ = f.Close()
		}
	}
}
