package safetensors

import (
	"fmt"
	"math"
	"strings"

	"quern/internal/invalid"
)

// DType is the type of a tensor's elements. The zero value is no type.
type DType uint8

// The types of the format, in the order in which its Rust implementation
// enumerates them. The comment gives the name in a file where it differs.
const (
	Bool       DType = iota + 1 // BOOL
	F4                          // E2M1, two to a byte
	F6E2M3                      // F6_E2M3
	F6E3M2                      // F6_E3M2
	U8                          //
	I8                          //
	F8E5M2                      // F8_E5M2
	F8E4M3                      // F8_E4M3: finite only, NaN is 0x7f and 0xff
	F8E8M0                      // F8_E8M0: powers of two, NaN is 0xff
	F8E4M3FNUZ                  // F8_E4M3FNUZ
	F8E5M2FNUZ                  // F8_E5M2FNUZ
	I16                         //
	U16                         //
	F16                         //
	BF16                        //
	I32                         //
	U32                         //
	F32                         //
	C64                         // two F32
	F64                         //
	I64                         //
	U64                         //
)

// dtypes is indexed by DType.
var dtypes = [...]struct {
	name  string
	bits  int64
	float bool
}{
	{"invalid dtype", 0, false},
	Bool:       {"BOOL", 8, false},
	F4:         {"F4", 4, true},
	F6E2M3:     {"F6_E2M3", 6, true},
	F6E3M2:     {"F6_E3M2", 6, true},
	U8:         {"U8", 8, false},
	I8:         {"I8", 8, false},
	F8E5M2:     {"F8_E5M2", 8, true},
	F8E4M3:     {"F8_E4M3", 8, true},
	F8E8M0:     {"F8_E8M0", 8, true},
	F8E4M3FNUZ: {"F8_E4M3FNUZ", 8, true},
	F8E5M2FNUZ: {"F8_E5M2FNUZ", 8, true},
	I16:        {"I16", 16, false},
	U16:        {"U16", 16, false},
	F16:        {"F16", 16, true},
	BF16:       {"BF16", 16, true},
	I32:        {"I32", 32, false},
	U32:        {"U32", 32, false},
	F32:        {"F32", 32, true},
	C64:        {"C64", 64, false},
	F64:        {"F64", 64, true},
	I64:        {"I64", 64, false},
	U64:        {"U64", 64, false},
}

var dtypeByName = func() map[string]DType {
	m := make(map[string]DType, len(dtypes))
	for d := Bool; d.valid(); d++ {
		m[dtypes[d].name] = d
	}
	return m
}()

// ParseDType returns the type of a name as files have it ("BF16"). Names are
// matched exactly; the error for an unknown one lists those that are supported.
func ParseDType(s string) (DType, error) {
	if d, ok := dtypeByName[s]; ok {
		return d, nil
	}
	names := make([]string, 0, len(dtypes))
	for d := Bool; d.valid(); d++ {
		names = append(names, d.String())
	}
	return 0, invalid.Errorf("unknown dtype %s (supported: %s)", shorten(s), strings.Join(names, ", "))
}

func (d DType) valid() bool { return d >= Bool && int(d) < len(dtypes) }

// String returns the name as files have it.
func (d DType) String() string {
	if !d.valid() {
		return fmt.Sprintf("DType(%d)", uint8(d))
	}
	return dtypes[d].name
}

// Bits is the size of one element in bits; 0 for a value that is no type.
func (d DType) Bits() int64 {
	if !d.valid() {
		return 0
	}
	return dtypes[d].bits
}

// Alignment is what an element's offset should be a multiple of, in bytes: the
// size of an element, and 1 for elements smaller than a byte.
func (d DType) Alignment() int64 { return max(1, d.Bits()/8) }

// IsFloat reports whether elements are real floating-point numbers of some width.
// C64, whose elements are pairs, is not one of them.
func (d DType) IsFloat() bool { return d.valid() && dtypes[d].float }

// SizeOf returns the bytes of a tensor. Refused are negative dimensions, sizes that
// do not fit an int64 even if another dimension is 0 (see the package comment), and
// packed elements that do not fill their last byte.
func SizeOf(d DType, shape []int64) (int64, error) {
	if !d.valid() {
		return 0, invalid.Errorf("%s is no dtype", d)
	}
	limit := math.MaxInt64 / d.Bits()
	elements, empty := int64(1), false
	for _, n := range shape {
		switch {
		case n < 0:
			return 0, invalid.Errorf("shape %s: negative dimension %d", shapeString(shape), n)
		case n == 0:
			empty = true
		case elements > limit/n:
			return 0, invalid.Errorf("shape %s of %s: size overflows", shapeString(shape), d)
		default:
			elements *= n
		}
	}
	if empty {
		return 0, nil
	}
	bits := elements * d.Bits()
	if bits%8 != 0 {
		return 0, invalid.Errorf("shape %s of %s: %d bits are no whole number of bytes", shapeString(shape), d, bits)
	}
	return bits / 8, nil
}
