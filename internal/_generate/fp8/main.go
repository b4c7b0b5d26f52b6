// Command fp8 writes the constants of package fp8's kernels.
package main

import "generate/constants"

func main() { table.Write("../../fp8") }

var table = constants.Table{
	{"MAGNITUDES16", 0x7fff7fff, "of BF16"},
	{"MAGNITUDES32", 0x7fffffff, "of float32"},
	{"EXPONENT", 0x7f800000, "of a float32"},
	{"LEASTNORMAL", 0x3c800000, "2⁻⁶"},
	{"GRIDAT0", 0x46800000, "2¹⁴"},
	{"GRIDFACTOR", 0x4980fc38, "2²⁰+8071"},
	{"LOWWORDS", 0x0000ffff, ""},
	{"WORDS16AND1", 0x00010010, ""},
	{"BYTES7", 0x07070707, ""},
	{"BYTES8", 0x08080808, ""},
	{"CODESIGNS", 0x80808080, ""},
	{"MAX448", 0x43e00000, ""},
	{"SATURATES464", 0x43e80000, ""},
	{"UNIT", 0x3f800000, "1"},

	// What casts and decoders read.
	{"WITHOUTBIT14", 0xbfffbfff, "all but the bit that sign extension leaves below the sign"},
	{"CODEMAGNITUDES", 0x007f007f, "in words, and NaN"},
	{"POW8", 0x43800000, "2⁸"},
	{"NAN480", 0x43f00000, "which NaN codes decode to"},
	{"SIGN", 0x80000000, "of a float32"},
	{"QUIETNAN", 0x7fc00000, ""},
	{"ONE", 0x00000001, ""},
	{"ALMOSTHALF", 0x00007fff, "of the last place of BF16"},
	{"MAXBF16", 0x7f7f7fff, "the largest magnitude that rounds to a finite BF16 number"},
	{"BEYONDBF16", 0x7f7f8000, "the least that does not"},
}
