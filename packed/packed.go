package packed

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"quern/fp8"
)

// Layout is a way to pack a matrix.
type Layout uint8

const (
	// PackQuantized is compressed-tensors': codes of a row one after the other in
	// [out, ⌈in·bits/32⌉] words, offset by 2^(bits−1); scales [out, groups]; zero points,
	// if any, offset as well and packed along the outputs, [⌈out·bits/32⌉, groups].
	PackQuantized Layout = iota

	// AWQ is [in, out/8] words whose nibbles hold the outputs 0, 2, 4, 6, 1, 3, 5, 7;
	// zero points likewise, [groups, out/8]; scales [groups, out].
	AWQ

	// GPTQ is [in·bits/32, out] words of inputs; zero points less 1 in
	// [groups, out·bits/32] words of outputs; scales [groups, out].
	GPTQ

	// GPTQv2 is GPTQ with zero points as they are.
	GPTQv2

	// MLX is [out, in·bits/32] words, codes of a row one after the other; scales and
	// biases [out, groups].
	MLX

	// INT8 is compressed-tensors' int-quantized: a signed byte a code, [out, in]; scales
	// [out, groups]. Codes are taken as offset by 2⁷ where they are decoded.
	INT8
)

// layouts say where the bits lie, in the order of the constants.
var layouts = [...]struct {
	name string
	bits []int // allowed

	// codes writes codes of rows, row r of them from r·stride on; it may write up to 7
	// bytes behind the last code of a row, and so far stride reaches.
	codes  func(m *Matrix, q []uint8, stride, row0, rows int)
	zeros  func(m *Matrix, row, group int) int // the zero point where the matrix has some
	plus   int                                 // what is added to zero points
	offset bool                                // without zero points, 2^(bits−1) is one
	across bool                                // scales are [groups, out]
	order  bool                                // inputs may have groups in any order

	codeBytes func(m *Matrix) int
	zeroWords func(m *Matrix) int // of 32 bits
}{
	PackQuantized: {
		name: "pack-quantized", bits: []int{2, 3, 4, 5, 6, 7, 8}, offset: true, order: true,
		codes: streamCodes, zeros: zerosAlongRows,
		codeBytes: streamBytes,
		zeroWords: func(m *Matrix) int { return wordsFor(m.Rows, m.Bits) * m.groups() },
	},
	AWQ: {
		name: "AWQ", bits: []int{4}, across: true,
		codes: awqCodes, zeros: awqZeros,
		codeBytes: func(m *Matrix) int { return 4 * m.Cols * (m.Rows / 8) },
		zeroWords: func(m *Matrix) int { return m.groups() * (m.Rows / 8) },
	},
	GPTQ: {
		name: "GPTQ", bits: []int{2, 4, 8}, across: true, order: true, plus: 1,
		codes: gptqCodes, zeros: gptqZeros,
		codeBytes: func(m *Matrix) int { return 4 * wordsFor(m.Cols, m.Bits) * m.Rows },
		zeroWords: func(m *Matrix) int { return m.groups() * wordsFor(m.Rows, m.Bits) },
	},
	GPTQv2: {
		name: "GPTQ v2", bits: []int{2, 4, 8}, across: true, order: true,
		codes: gptqCodes, zeros: gptqZeros,
		codeBytes: func(m *Matrix) int { return 4 * wordsFor(m.Cols, m.Bits) * m.Rows },
		zeroWords: func(m *Matrix) int { return m.groups() * wordsFor(m.Rows, m.Bits) },
	},
	MLX: {
		name: "MLX affine", bits: []int{2, 3, 4, 5, 6, 8},
		codes:     streamCodes,
		codeBytes: streamBytes,
	},
	INT8: {
		name: "INT8", bits: []int{8}, offset: true,
		codes:     signedCodes,
		codeBytes: func(m *Matrix) int { return m.Rows * m.Cols },
	},
}

// String returns the name of the layout.
func (l Layout) String() string {
	if int(l) < len(layouts) {
		return layouts[l].name
	}
	return fmt.Sprintf("Layout(%d)", uint8(l))
}

// Matrix is a packed weight of Rows outputs and Cols inputs; the slices are its
// tensors, little-endian, in full.
type Matrix struct {
	Layout     Layout
	Bits       int // of a code
	Rows, Cols int
	Group      int // inputs that share a scale; 0: all

	Codes     []byte   // weight_packed, qweight, or MLX's weight
	Scales    []byte   // weight_scale or scales
	ScaleElem fp8.Elem // of scales and biases
	Zeros     []byte   // weight_zero_point or qzeros; nil: none
	Biases    []byte   // of MLX
	GroupOf   []byte   // g_idx of GPTQ, the group of each input as I32; nil: in order
}

// groups returns how many groups a row has.
func (m *Matrix) groups() int {
	if m.Group == 0 {
		return 1
	}
	return (m.Cols + m.Group - 1) / m.Group
}

// Check says whether all parts of m fit together.
func (m *Matrix) Check() error {
	if int(m.Layout) >= len(layouts) {
		return fmt.Errorf("%v is unknown", m.Layout)
	}
	l := &layouts[m.Layout]
	switch {
	case !slices.Contains(l.bits, m.Bits):
		return fmt.Errorf("%v: codes of %d bits; it has those of %v", m.Layout, m.Bits, l.bits)
	case m.Rows < 0 || m.Cols < 0 || m.Group < 0 || m.Group > 1<<48 || m.Rows > math.MaxInt32 || m.Cols > 1<<48/max(m.Rows, 1):
		return fmt.Errorf("%v: shape %d×%d with groups of %d", m.Layout, m.Rows, m.Cols, m.Group)
	case l.across && m.Rows*m.Bits%32 != 0:
		return fmt.Errorf("%v: %d outputs of %d bits fill no whole words", m.Layout, m.Rows, m.Bits)
	case m.ScaleElem.Size() == 0:
		return fmt.Errorf("%v: scales of type %v", m.Layout, m.ScaleElem)
	case m.GroupOf != nil && !l.order:
		return fmt.Errorf("%v: has no order of inputs", m.Layout)
	case m.Zeros != nil && l.zeros == nil:
		return fmt.Errorf("%v: has no zero points", m.Layout)
	case m.Zeros == nil && l.across:
		return fmt.Errorf("%v: no zero points", m.Layout)
	case (m.Biases != nil) != (m.Layout == MLX):
		return fmt.Errorf("%v: %d bytes of biases", m.Layout, len(m.Biases))
	}
	zeroWords := 0
	if m.Zeros != nil {
		zeroWords = l.zeroWords(m)
	}
	perGroup := m.Rows * m.groups() * m.ScaleElem.Size()
	for _, p := range []struct {
		name string
		data []byte
		want int
	}{
		{"codes", m.Codes, l.codeBytes(m)},
		{"scales", m.Scales, perGroup},
		{"zero points", m.Zeros, 4 * zeroWords},
		{"biases", m.Biases, perGroup},
		{"order of inputs", m.GroupOf, 4 * m.Cols},
	} {
		optional := p.name != "codes" && p.name != "scales"
		if len(p.data) != p.want && (p.data != nil || !optional) {
			return fmt.Errorf("%v: %s: %d bytes for %d×%d weights of %d bits with groups of %d, not %d",
				m.Layout, p.name, len(p.data), m.Rows, m.Cols, m.Bits, m.Group, p.want)
		}
	}
	for c := range len(m.GroupOf) / 4 {
		if g := int32(binary.LittleEndian.Uint32(m.GroupOf[4*c:])); g < 0 || int(g) >= m.groups() {
			return fmt.Errorf("%v: input %d belongs to group %d of %d", m.Layout, c, g, m.groups())
		}
	}
	return nil
}
