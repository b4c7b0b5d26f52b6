// CODES decodes 16 E4M3 codes to two times 8 float32 and multiplies by the scales
// S times 256. Moved up by 7, a code is the binary16 pattern of its value times
// 2⁻⁸, subnormal numbers included; only NaN is not. CODESBEGIN sets the constants.
#define CODESBEGIN \
	VPBROADCASTD codes256<>+0x00(SB), Y14; \
	VPBROADCASTD codes256<>+0x04(SB), Y13; \
	VPBROADCASTD codes256<>+0x08(SB), Y12

#define CODES(at, S, LO, HI, XLO, XHI) \
	VPMOVSXBW at, LO; \
	VPAND Y13, LO, HI; \
	VPSLLW $7, LO, LO; \
	VPCMPEQW Y13, HI, HI; \
	VPAND Y14, LO, LO; \
	VPBLENDVB HI, Y12, LO, LO; \
	VEXTRACTI128 $1, LO, XHI; \
	VCVTPH2PS XLO, LO; \
	VCVTPH2PS XHI, HI; \
	VMULPS S, LO, LO; \
	VMULPS S, HI, HI

DATA codes256<>+0x00(SB)/4, $0xbfffbfff // all but the bit that sign extension leaves below the sign
DATA codes256<>+0x04(SB)/4, $0x007f007f // magnitudes, and NaN
DATA codes256<>+0x08(SB)/4, $0x7e007e00 // NaN in binary16
GLOBL codes256<>(SB), RODATA|NOPTR, $0x0c
