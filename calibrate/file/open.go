package file

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"quern/calibrate/sketch"
	"quern/formats/safetensors"
	"quern/internal/blake3"
	"quern/internal/invalid"
	"quern/store"
)

// reading puts the file, and a tensor unless it is nil, in front of an error.
func reading(path string, t *safetensors.Tensor, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = invalid.Errorf("the file became shorter while it was read")
	}
	if t != nil {
		err = fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	return fmt.Errorf("reading %q: %w", path, err)
}

// Open opens a calibration file and reads all of it once: its digest, and that every
// number is what it can be. What is not matches invalid.Input.
func Open(path string) (*File, error) {
	r, err := store.OpenFile(context.Background(), path)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, f: r, modules: map[string]*module{}, caches: map[string]float32{}, layers: map[int]*layer{}}
	if err := f.load(r.Size()); err != nil {
		_ = r.Close()
		return nil, err
	}
	return f, nil
}

func (f *File) load(size int64) error {
	h, err := safetensors.ReadHeader(f.f, size, safetensors.Limits{})
	if err != nil {
		return reading(f.path, nil, err)
	}
	if f.info, err = parseInfo(h.Metadata); err != nil {
		return reading(f.path, nil, err)
	}
	f.offset = h.DataOffset
	s := &scan{f: f, hash: blake3.New(), buf: make([]byte, 1<<20)}
	if err := s.pass(0, h.DataOffset, nil); err != nil {
		return reading(f.path, nil, err)
	}
	for i := range h.Tensors {
		if err := s.tensor(&h.Tensors[i]); err != nil {
			return reading(f.path, &h.Tensors[i], err)
		}
	}
	copy(f.digest[:], s.hash.Sum(nil))
	if err := f.whole(); err != nil {
		return reading(f.path, nil, err)
	}
	return nil
}

// scan is the reading of a file from front to back.
type scan struct {
	f    *File
	hash *blake3.Hasher
	buf  []byte
}

// pass hashes a range of the file and hands it to fn in pieces of whole elements.
func (s *scan) pass(from, to int64, fn func(raw []byte) error) error {
	for from < to {
		b := s.buf[:min(int64(len(s.buf)), to-from)]
		if n, err := s.f.f.ReadAt(b, from); n < len(b) {
			return err
		}
		_, _ = s.hash.Write(b)
		if fn != nil {
			if err := fn(b); err != nil {
				return err
			}
		}
		from += int64(len(b))
	}
	return nil
}

// elements hashes a tensor and calls fn with its elements, as 64 bits.
func (s *scan) elements(t *safetensors.Tensor, fn func(i int64, bits uint64) error) error {
	i, wide := int64(0), t.DType != safetensors.F32
	return s.pass(s.f.offset+t.Begin, s.f.offset+t.End, func(raw []byte) error {
		for len(raw) > 0 {
			var bits uint64
			if wide {
				bits, raw = binary.LittleEndian.Uint64(raw), raw[8:]
			} else {
				bits, raw = uint64(binary.LittleEndian.Uint32(raw)), raw[4:]
			}
			if err := fn(i, bits); err != nil {
				return err
			}
			i++
		}
		return nil
	})
}

// counts is elements for whole numbers that are not negative.
func (s *scan) counts(t *safetensors.Tensor, fn func(i, n int64) error) error {
	return s.elements(t, func(i int64, bits uint64) error {
		if int64(bits) < 0 {
			return invalid.Errorf("element %d is %d, which is no count", i, int64(bits))
		}
		return fn(i, int64(bits))
	})
}

// sums is elements for numbers that are not negative.
func (s *scan) sums(t *safetensors.Tensor, fn func(i int64, x float64)) error {
	return s.elements(t, func(i int64, bits uint64) error {
		x := math.Float64frombits(bits)
		if t.DType == safetensors.F32 {
			x = float64(math.Float32frombits(uint32(bits)))
		}
		if !(x >= 0 && x <= math.MaxFloat64) {
			return invalid.Errorf("element %d is %v", i, x)
		}
		fn(i, x)
		return nil
	})
}

// maxChannels is beyond the width of any model.
const maxChannels = 1 << 26

// tensor checks a tensor and remembers it.
func (s *scan) tensor(t *safetensors.Tensor) error {
	k, name, _, number, err := ParseName(t.Name)
	if err != nil {
		return err
	}
	if want := kinds[k]; t.DType != want.dtype || len(t.Shape) != want.rank {
		return invalid.Errorf("%s %v, where %s in %d dimensions is due", t.DType, t.Shape, want.dtype, want.rank)
	}
	if k >= ExpertLoad {
		return s.experts(k, number, t)
	}
	if k == CacheAmax {
		return s.sums(t, func(_ int64, x float64) { s.f.caches[t.Name] = float32(x) })
	}
	m := s.f.modules[name]
	if m == nil {
		m = &module{}
		s.f.modules[name] = m
	}
	switch k {
	case InputAmax:
		m.hasAmax = true
		return s.sums(t, func(_ int64, x float64) { m.amax = float32(x) })
	case InputCount:
		return s.counts(t, func(_, n int64) error {
			if m.count = n; n == 0 {
				return invalid.Errorf("no tokens: a module that was never reached is left out")
			}
			return nil
		})
	case InputSquares:
		if m.squares = t; t.Elements() < 1 || t.Elements() > maxChannels {
			return invalid.Errorf("%d channels", t.Elements())
		}
		return s.sums(t, func(int64, float64) {})
	case InputSketch:
		m.values = t
		return s.sketch(t, &m.total)
	}
	m.groups = t
	return s.sketch(t, &m.groupTotal)
}

// sketch checks the form of a sketch and takes its total.
func (s *scan) sketch(t *safetensors.Tensor, total *int64) error {
	n := t.Elements()
	if n < 1 || n > sketch.Length {
		return invalid.Errorf("%d buckets, where 1 to %d are due", n, sketch.Length)
	}
	return s.counts(t, func(i, c int64) error {
		if c == 0 && (i == 0 || i == n-1) {
			return invalid.Errorf("bucket %d of %d is empty", i, n)
		}
		if *total > math.MaxInt64-c {
			return invalid.Errorf("its total overflows")
		}
		*total += c
		return nil
	})
}

// experts checks a tensor of a layer.
func (s *scan) experts(k Kind, number int, t *safetensors.Tensor) error {
	l, e := s.f.layers[number], int64(s.f.info.Experts)
	if l == nil {
		l = &layer{}
		s.f.layers[number] = l
	}
	last := t.Shape[len(t.Shape)-1]
	if k == ExpertPairs {
		l.pairs = t
		return s.pairs(t, e)
	}
	if last != e || e == 0 {
		return invalid.Errorf("%d experts, where the metadata says %d", last, e)
	}
	switch k {
	case ExpertWeightSum:
		l.weight = make([]float64, e)
		return s.sums(t, func(i int64, x float64) { l.weight[i] = x })
	case ExpertTextLoad:
		if l.texts = t; t.Shape[0] != int64(len(s.f.info.Texts)) {
			return invalid.Errorf("loads of %d texts, where the metadata lists %d", t.Shape[0], len(s.f.info.Texts))
		}
		l.fromTexts = make([]int64, e)
		return s.counts(t, func(i, n int64) error {
			l.fromTexts[i%e] += n
			if n > s.f.info.Texts[i/e].Tokens {
				return invalid.Errorf("expert %d was chosen by %d tokens of text %d, which has %d", i%e, n, i/e, s.f.info.Texts[i/e].Tokens)
			}
			return nil
		})
	}
	l.load = make([]int64, e)
	tokens := s.f.info.Tokens()
	return s.counts(t, func(i, n int64) error {
		if l.load[i] = n; n > tokens {
			return invalid.Errorf("expert %d was chosen by %d tokens of %d", i, n, tokens)
		}
		return nil
	})
}

func (s *scan) pairs(t *safetensors.Tensor, e int64) error {
	if t.Shape[1] != 3 {
		return invalid.Errorf("rows of %d, where 3 are due", t.Shape[1])
	}
	if t.Shape[0] > e*(e-1)/2 {
		return invalid.Errorf("%d pairs of %d experts", t.Shape[0], e)
	}
	var row [3]int64
	before := int64(-1)
	return s.counts(t, func(i, n int64) error {
		if row[i%3] = n; i%3 != 2 {
			return nil
		}
		a, b := row[0], row[1]
		if a >= b || b >= e || a*e+b <= before || n == 0 {
			return invalid.Errorf("row %d, %v: pairs of %d experts ascend, the lower expert first, and are not empty", i/3, row, e)
		}
		before = a*e + b
		return nil
	})
}

// whole checks that what belongs together is there, and agrees.
func (f *File) whole() error {
	o := f.info.Options
	for name, m := range f.modules {
		switch {
		case m.squares == nil || m.count == 0 || !m.hasAmax:
			return invalid.Errorf("module %q: its input_amax, input_sq_sum and input_count are not all there", name)
		case o.Sketches != (m.values != nil) || o.Sketches != (m.groups != nil):
			return invalid.Errorf("module %q: sketches are there or not, as the metadata does not say", name)
		case !o.Sketches:
			continue
		}
		in := m.squares.Shape[0]
		for _, s := range []struct {
			t           *safetensors.Tensor
			total, each int64
		}{{m.values, m.total, in}, {m.groups, m.groupTotal, (in + 127) / 128}} {
			if s.total/s.each != m.count || s.total%s.each != 0 {
				return invalid.Errorf("tensor %q: %d numbers in all, where %d tokens have %d each", s.t.Name, s.total, m.count, s.each)
			}
			if s.t.Elements() > int64(sketch.Bucket(m.amax))+1 {
				return invalid.Errorf("tensor %q: %d buckets up to that of %v", s.t.Name, s.t.Elements(), m.amax)
			}
		}
	}
	for number, l := range f.layers {
		if l.load == nil || l.weight == nil || o.Pairs != (l.pairs != nil) || o.TextLoads != (l.texts != nil) {
			return invalid.Errorf("layer %d: its tensors are not those that the metadata says", number)
		}
		if l.texts != nil && !slices.Equal(l.fromTexts, l.load) {
			return invalid.Errorf("layer %d: the loads of the texts do not add up to expert_load", number)
		}
	}
	return nil
}
