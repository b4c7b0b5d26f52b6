package safetensors

import (
	"bytes"
	"fmt"
	"math"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// minEntryBytes is the length of the shortest entry of a header, with its comma:
// "a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},
const minEntryBytes = 51

// headerDepth is how deep a header nests: the object, an entry, an array.
const headerDepth = 3

// parser turns the JSON of a header into tensors.
type parser struct {
	s      *strictjson.Scanner
	limits Limits
	data   int64 // bytes of the data section
	names  textArena
	shapes shapeArena
	h      *Header
}

// parseHeader reads the JSON of a header whose file has data bytes after it. The
// result does not point into text.
func parseHeader(text []byte, data int64, l Limits) (*Header, error) {
	// Every entry has a brace, so this is enough for all tensors; the second bound
	// keeps a header full of braces from asking for more than it holds.
	likely := min(bytes.Count(text, []byte("}")), len(text)/minEntryBytes+1, l.Tensors)
	p := parser{
		s:      strictjson.NewScanner(text, strictjson.Options{MaxDepth: headerDepth}),
		limits: l,
		data:   data,
		names:  textArena{hint: len(text)},
		shapes: shapeArena{hint: 2 * likely},
		h:      &Header{Tensors: make([]Tensor, 0, likely)},
	}
	if err := p.header(); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if end := p.s.Offset(); len(bytes.TrimLeft(text[end:], " ")) > 0 {
		return nil, invalid.Errorf("header: byte %d: only spaces may follow the closing brace", end)
	}
	if err := unique(p.h.Tensors); err != nil {
		return nil, err
	}
	sortTensors(p.h.Tensors)
	if err := tile(p.h.Tensors, data); err != nil {
		return nil, err
	}
	return p.h, nil
}

func (p *parser) header() error {
	if err := p.s.ObjectStart(); err != nil {
		return err
	}
	metadata := false
	for {
		key, ok, err := p.s.Key()
		if !ok {
			return err
		}
		if string(key) == metadataKey {
			if metadata {
				return invalid.Errorf("%s occurs twice", metadataKey)
			}
			metadata = true
			if err := p.metadata(); err != nil {
				return fmt.Errorf("%s: %w", metadataKey, err)
			}
			continue
		}
		switch {
		case len(key) == 0:
			return invalid.Errorf("byte %d: a tensor without a name", p.s.Offset())
		case len(key) > p.limits.NameBytes:
			return invalid.Errorf("%s: the name has %d bytes, the limit is %d", at(string(key)), len(key), p.limits.NameBytes)
		case len(p.h.Tensors) == p.limits.Tensors:
			return invalid.Errorf("more than %d tensors", p.limits.Tensors)
		}
		t := Tensor{Name: p.names.add(key)}
		if err := p.entry(&t); err != nil {
			return fmt.Errorf("%s: %w", at(t.Name), err)
		}
		p.h.Tensors = append(p.h.Tensors, t)
	}
}

// metadata reads the texts about the file. null says that there are none: MLX writes it
// where a file is saved without any, and the reference reader takes it.
func (p *parser) metadata() error {
	if kind, err := p.s.Peek(); err == nil && kind == strictjson.KindNull {
		return p.s.Skip()
	}
	if err := p.s.ObjectStart(); err != nil {
		return err
	}
	for {
		b, ok, err := p.s.Key()
		if !ok {
			return err
		}
		key := string(b)
		if _, dup := p.h.Metadata[key]; dup {
			return invalid.Errorf("duplicate key %s", shorten(key))
		}
		value, err := p.s.Str()
		if err != nil {
			return fmt.Errorf("value of %s: %w", shorten(key), err)
		}
		if p.h.Metadata == nil {
			p.h.Metadata = map[string]string{}
		}
		p.h.Metadata[key] = string(value)
	}
}

// The keys of an entry, as bits of what was seen.
const (
	seenDType = 1 << iota
	seenShape
	seenOffsets
)

// entry reads the object that describes t and checks it as far as it can be
// checked without the other tensors.
func (p *parser) entry(t *Tensor) error {
	if err := p.s.ObjectStart(); err != nil {
		return err
	}
	var seen, bit int
	for {
		key, ok, err := p.s.Key()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		// key is gone after the next call to the scanner, so its name is not.
		var name string
		switch string(key) {
		case "dtype":
			name, bit = "dtype", seenDType
		case "shape":
			name, bit = "shape", seenShape
		case "data_offsets":
			name, bit = "data_offsets", seenOffsets
		default:
			return invalid.Errorf("unknown key %s (an entry has dtype, shape and data_offsets)", shorten(string(key)))
		}
		if seen&bit != 0 {
			return invalid.Errorf("duplicate key %q", name)
		}
		seen |= bit
		switch bit {
		case seenDType:
			err = p.dtype(t)
		case seenShape:
			err = p.shape(t)
		case seenOffsets:
			err = p.offsets(t)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	switch {
	case seen&seenDType == 0:
		return invalid.Errorf("dtype is missing")
	case seen&seenShape == 0:
		return invalid.Errorf("shape is missing")
	case seen&seenOffsets == 0:
		return invalid.Errorf("data_offsets are missing")
	}
	size, err := SizeOf(t.DType, t.Shape)
	if err != nil {
		return err
	}
	if size != t.Bytes() {
		return invalid.Errorf("data_offsets [%d, %d]: %d bytes, but %s %s has %d",
			t.Begin, t.End, t.Bytes(), t.DType, shapeString(t.Shape), size)
	}
	return nil
}

func (p *parser) dtype(t *Tensor) error {
	b, err := p.s.Str()
	if err != nil {
		return err
	}
	if d, ok := dtypeByName[string(b)]; ok { // without a copy of b
		t.DType = d
		return nil
	}
	t.DType, err = ParseDType(string(b))
	return err
}

func (p *parser) shape(t *Tensor) error {
	if err := p.s.ArrayStart(); err != nil {
		return err
	}
	mark := p.shapes.mark()
	for {
		more, err := p.s.Next()
		if err != nil {
			return err
		}
		if !more {
			t.Shape = p.shapes.since(mark)
			return nil
		}
		n, err := p.s.Uint64()
		switch {
		case err != nil:
			return err
		case n > math.MaxInt64:
			return invalid.Errorf("dimension %d exceeds 2^63-1: size overflows", n)
		case p.shapes.mark()-mark == p.limits.Rank:
			return invalid.Errorf("more than %d dimensions", p.limits.Rank)
		}
		mark = p.shapes.add(int64(n), mark)
	}
}

func (p *parser) offsets(t *Tensor) error {
	if err := p.s.ArrayStart(); err != nil {
		return err
	}
	var v [2]uint64
	for i := 0; ; i++ {
		more, err := p.s.Next()
		if err != nil {
			return err
		}
		if !more {
			if i != len(v) {
				return invalid.Errorf("%d numbers, expected begin and end", i)
			}
			break
		}
		if i == len(v) {
			return invalid.Errorf("more than two numbers, expected begin and end")
		}
		if v[i], err = p.s.Uint64(); err != nil {
			return err
		}
	}
	switch {
	case v[0] > v[1]:
		return invalid.Errorf("[%d, %d]: the end is before the beginning", v[0], v[1])
	case v[1] > uint64(p.data):
		return invalid.Errorf("[%d, %d]: beyond the end of the file, which has %d bytes of data: truncated download?", v[0], v[1], p.data)
	}
	t.Begin, t.End = int64(v[0]), int64(v[1])
	return nil
}
