package outputs

import (
	"slices"

	"quern/formats/safetensors"
	"quern/internal/invalid"
)

var (
	floats   = []safetensors.DType{safetensors.F32, safetensors.BF16, safetensors.F16}
	integers = []safetensors.DType{safetensors.I64, safetensors.I32}
)

// layout is how tokens stand in the tensors of a file.
type layout struct {
	dims      []int64 // of input_ids, without a leading 1
	sequences int64
	// whole are the dimensions in front of the last one of a tensor that has a row
	// for each token; either holds those of one that has a row less, too.
	whole, either [][]int64
}

// layOut reads the shape of input_ids and the offsets, and sets f.starts.
func (f *File) layOut(ids, offsets *safetensors.Tensor) (*layout, error) {
	if ids == nil {
		return nil, invalid.Errorf(`tensor "input_ids" is missing`)
	}
	if err := known(ids, integers); err != nil {
		return nil, err
	}
	dims := ids.Shape
	if len(dims) < 1 || len(dims) > 2 {
		return nil, invalid.Errorf("tensor %q: shape %v, want [T] or [B,T]", ids.Name, dims)
	}
	if ids.Elements() == 0 {
		return nil, invalid.Errorf("tensor %q: shape %v: no tokens", ids.Name, dims)
	}
	dims = withoutOne(dims, 2)
	l := &layout{dims: dims, sequences: 1}
	if len(dims) == 2 {
		l.sequences = dims[0]
	}
	if offsets != nil {
		if err := f.readOffsets(offsets, dims); err != nil {
			return nil, err
		}
		l.sequences = int64(len(f.starts) - 1)
	} else {
		for s := range l.sequences + 1 {
			f.starts = append(f.starts, int(s*dims[len(dims)-1]))
		}
	}
	short := slices.Clone(dims)
	if len(dims) == 2 {
		short[1]--
	} else {
		short[0] -= l.sequences
	}
	l.whole = [][]int64{dims}
	l.either = [][]int64{short, dims}
	return l, nil
}

// readOffsets sets f.starts to what the tensor holds.
func (f *File) readOffsets(t *safetensors.Tensor, dims []int64) error {
	if err := known(t, integers); err != nil {
		return err
	}
	if len(dims) != 1 {
		return invalid.Errorf("tensor %q: input_ids has shape %v, offsets are of a flat one", t.Name, dims)
	}
	if len(t.Shape) != 1 || t.Shape[0] < 2 || t.Shape[0]-1 > dims[0] {
		return invalid.Errorf("tensor %q: shape %v, want [N+1] for N sequences in %d tokens", t.Name, t.Shape, dims[0])
	}
	starts, err := f.integers(t)
	if err != nil {
		return err
	}
	for s, x := range starts {
		switch {
		case s == 0 && x != 0:
			return invalid.Errorf("tensor %q: begins with %d, want 0", t.Name, x)
		case s > 0 && x <= starts[s-1]:
			return invalid.Errorf("tensor %q: %d at index %d, after %d: every sequence has at least one token", t.Name, x, s, starts[s-1])
		case s == len(starts)-1 && int64(x) != dims[0]:
			return invalid.Errorf("tensor %q: ends with %d, input_ids has %d tokens", t.Name, x, dims[0])
		}
	}
	f.starts = starts
	return nil
}

// rows finds the form of t among those allowed.
func (l *layout) rows(t *safetensors.Tensor, dtypes []safetensors.DType, forms [][]int64) (tensor, error) {
	if err := known(t, dtypes); err != nil {
		return tensor{}, err
	}
	shape := t.Shape
	if len(l.dims) == 1 {
		shape = withoutOne(shape, 3)
	}
	if n := len(shape) - 1; n >= 1 && shape[n] > 0 {
		for _, form := range forms {
			if slices.Equal(shape[:n], form) {
				return tensor{
					name: t.Name, dtype: t.DType, begin: t.Begin, width: int(shape[n]),
					short: !slices.Equal(form, l.dims),
				}, nil
			}
		}
	}
	return tensor{}, invalid.Errorf("tensor %q: shape %v, which does not fit the %v of input_ids in %d sequences", t.Name, t.Shape, l.dims, l.sequences)
}

// withoutOne drops a leading dimension of 1 from a shape of the given rank.
func withoutOne(shape []int64, rank int) []int64 {
	if len(shape) == rank && shape[0] == 1 {
		return shape[1:]
	}
	return shape
}

// known checks the dtype of a tensor.
func known(t *safetensors.Tensor, dtypes []safetensors.DType) error {
	if !slices.Contains(dtypes, t.DType) {
		return invalid.Errorf("tensor %q: dtype %s, want one of %v", t.Name, t.DType, dtypes)
	}
	return nil
}
