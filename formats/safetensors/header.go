package safetensors

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"quern/internal/blake3"
	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// dataAlignment is what the data section's offset in the file is a multiple of.
const dataAlignment = 8

// NewHeader lays out a file in the canonical order: tensors by descending alignment
// of their dtype, then by name as bytes, without gaps; so every tensor lies at a
// multiple of its element size. It returns the header as [ReadHeader] would, and the
// bytes that the file begins with, data section excluded.
//
// Begin and End of the tensors given are ignored, and the slice is not changed. The
// header is written as the format's Rust implementation writes its own: no spaces,
// __metadata__ (if there is any) first, then the tensors in order, each with dtype,
// shape and data_offsets; only the padding that brings the data to a multiple of 8
// bytes is added. Metadata keys are sorted.
//
// Refused is all that ReadHeader would refuse with default limits.
func NewHeader(tensors []Tensor, metadata map[string]string) (*Header, []byte, error) {
	placed, err := place(tensors, canonicalOrder(tensors))
	if err != nil {
		return nil, nil, err
	}
	return encode(placed, metadata)
}

// NewHeaderInOrder is [NewHeader] with the tensors laid out in the order given. It
// refuses an order that puts a tensor at an offset which is no multiple of its
// element size.
func NewHeaderInOrder(tensors []Tensor, metadata map[string]string) (*Header, []byte, error) {
	order := make([]int, len(tensors))
	for i := range order {
		order[i] = i
	}
	placed, err := place(tensors, order)
	if err != nil {
		return nil, nil, err
	}
	return encode(placed, metadata)
}

// canonicalOrder returns the indices of tensors in the order of NewHeader.
func canonicalOrder(tensors []Tensor) []int {
	order := make([]int, len(tensors))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &tensors[i], &tensors[j]
		if c := cmp.Compare(b.DType.Alignment(), a.DType.Alignment()); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return order
}

// place gives the tensors their offsets in the order given, and checks them.
func place(tensors []Tensor, order []int) ([]Tensor, error) {
	l := Limits{}.withDefaults()
	if len(tensors) > l.Tensors {
		return nil, invalid.Errorf("%d tensors, the limit is %d", len(tensors), l.Tensors)
	}
	placed := make([]Tensor, 0, len(tensors))
	end := int64(0)
	for _, i := range order {
		t := tensors[i]
		if err := checkName(t.Name, l); err != nil {
			return nil, err
		}
		if len(t.Shape) > l.Rank {
			return nil, invalid.Errorf("%s: shape %s: more than %d dimensions", at(t.Name), shapeString(t.Shape), l.Rank)
		}
		size, err := SizeOf(t.DType, t.Shape)
		switch {
		case err != nil:
			return nil, invalid.Errorf("%s: %w", at(t.Name), err)
		case end%t.DType.Alignment() != 0:
			return nil, invalid.Errorf("%s: it would begin at byte %d, which is no multiple of the %d bytes of %s",
				at(t.Name), end, t.DType.Alignment(), t.DType)
		case size > math.MaxInt64-l.HeaderBytes-lengthBytes-end:
			return nil, invalid.Errorf("%s: the size of the file overflows", at(t.Name))
		}
		if t.Shape = slices.Clone(t.Shape); t.Shape == nil {
			t.Shape = []int64{}
		}
		t.Begin, t.End = end, end+size
		end = t.End
		placed = append(placed, t)
	}
	return placed, unique(placed)
}

func checkName(name string, l Limits) error {
	switch {
	case name == "":
		return invalid.Errorf("a tensor without a name")
	case name == metadataKey:
		return invalid.Errorf("%s: the name is reserved", at(name))
	case len(name) > l.NameBytes:
		return invalid.Errorf("%s: the name has %d bytes, the limit is %d", at(name), len(name), l.NameBytes)
	case !utf8.ValidString(name):
		return invalid.Errorf("%s: the name is not valid UTF-8", at(name))
	}
	return nil
}

// encode writes the header of tensors that have their offsets.
func encode(placed []Tensor, metadata map[string]string) (*Header, []byte, error) {
	limits := Limits{}.withDefaults()
	buf := make([]byte, lengthBytes, lengthBytes+128*len(placed)+256)
	buf = append(buf, '{')
	if len(metadata) > 0 {
		buf = append(strictjson.AppendQuote(buf, metadataKey), ":{"...)
		for _, k := range slices.Sorted(maps.Keys(metadata)) {
			v := metadata[k]
			if !utf8.ValidString(k) || !utf8.ValidString(v) {
				return nil, nil, invalid.Errorf("%s: key %s: not valid UTF-8", metadataKey, shorten(k))
			}
			buf = append(strictjson.AppendQuote(buf, k), ':')
			buf = append(strictjson.AppendQuote(buf, v), ',')
		}
		buf[len(buf)-1] = '}'
		buf = append(buf, ',')
	}
	for _, t := range placed {
		buf = append(appendEntry(buf, t), ',')
	}
	if buf[len(buf)-1] == ',' {
		buf = buf[:len(buf)-1]
	}
	buf = append(buf, '}')
	for len(buf)%dataAlignment != 0 {
		buf = append(buf, ' ')
	}
	n := int64(len(buf) - lengthBytes)
	if n > limits.HeaderBytes {
		return nil, nil, invalid.Errorf("header of %d bytes, the limit of the format is %d: use more files", n, limits.HeaderBytes)
	}
	binary.LittleEndian.PutUint64(buf, uint64(n))

	h := &Header{Tensors: placed, DataOffset: int64(len(buf)), Digest: blake3.Sum256(buf)}
	if len(metadata) > 0 {
		h.Metadata = maps.Clone(metadata)
	}
	sortTensors(h.Tensors) // moves tensors without bytes only
	return h, buf, nil
}

// appendEntry writes a tensor's name and entry.
func appendEntry(buf []byte, t Tensor) []byte {
	buf = append(strictjson.AppendQuote(buf, t.Name), `:{"dtype":"`...)
	buf = append(append(buf, t.DType.String()...), `","shape":[`...)
	for i, n := range t.Shape {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = strconv.AppendInt(buf, n, 10)
	}
	buf = strconv.AppendInt(append(buf, `],"data_offsets":[`...), t.Begin, 10)
	buf = strconv.AppendInt(append(buf, ','), t.End, 10)
	return append(buf, "]}"...)
}
