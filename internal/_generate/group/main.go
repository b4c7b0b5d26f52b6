// Command group writes kernels and constants of package group.
package main

import (
	"slices"

	"generate/constants"
	"generate/wide"
)

func main() {
	table.Write("../../group")
	wide.Write("group", "../../group/kernels", slices.Concat(costs, decoders, turns))
}

var table = constants.Table{
	{"MAGNITUDES", 0x7fffffff, "of float32"},
	{"EXPONENT", 0x7f800000, "of a float32"},
	{"E2M1LEAST", 0x3f800000, "1, E2M1's least normal number"},
	{"E2M1GRID", 0x4a800000, "2²², where float32 has E2M1's spacing below 2"},
	{"E2M1STEPS", 0x00010040, "words 64, 1"},
	{"E2M1MAX", 0x40c00000, "6"},
	{"E2M1BEYOND", 0x40e00000, "7"},
	{"E4M3LEAST", 0x3c800000, "2⁻⁶, E4M3's least normal number"},
	{"E4M3GRID", 0x46800000, "2¹⁴, where float32 has E4M3's spacing below 2⁻⁵"},
	{"E4M3STEPS", 0x00010010, "words 16, 1"},
	{"E4M3MAX", 0x43e00000, "448"},
	{"E4M3BEYOND", 0x43e80000, "464"},
	{"INT4MOST", 0x40f00000, "7½"},
	{"INT4LEAST", 0xc1080000, "−8½"},
	{"SEVEN", 0x40e00000, "7"},
	{"MINUS8", 0xc1000000, "−8"},
	{"NIBBLES", 0x10011001, "bytes 1, 16"},
	{"BYTES1", 0x01010101, ""},
	{"BYTES8", 0x08080808, ""},
	{"CODESIGNS", 0x80808080, ""},
	{"ONE", 0x3f800000, ""},
	{"LEASTSCALE", 0x3b000000, "2⁻⁹"},
	{"HALFLEAST", 0x00400000, "2⁻¹²⁷"},
	{"ONES", 0x00000001, ""},
	{"SEVENS", 0x00000007, ""},
	{"EIGHT", 0x00000008, ""},
	{"FIFTEEN", 0x0000000f, ""},
	{"LOWWORDS", 0x0000ffff, ""},
	{"ALMOSTHALF", 0x00007fff, "of the last place of BF16"},
	{"ZEROSCALE", 0x00003c00, "2⁻⁷ as BF16"},
	{"SIGN", 0x80000000, "of a float32"},
	{"WITHOUTBIT14", 0xbfffbfff, "all but the bit that sign extension leaves below the sign"},
	{"POW8", 0x43800000, "2⁸"},
	{"NAN480", 0x43f00000, "which NaN codes decode to"},
	{"QUIETNAN", 0x7fc00000, ""},
}
