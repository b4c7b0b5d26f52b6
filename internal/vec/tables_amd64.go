//go:build !noasm

package vec

// What the kernels in assembly read, from the constants of their generic twins.

//lint:ignore U1000 read in assembly
var expTable = [...]float32{
	expLo, expHi, expLog2e, expMagic, expLn2hi, expLn2lo,
	expC6, expC5, expC4, expC3, expC2, 1,
}

//lint:ignore U1000 read in assembly
var exp64Table = [...]float64{
	exp64Lo, exp64Hi, exp64Log2e, exp64Magic, exp64Ln2hi, exp64Ln2lo,
	exp64C11, exp64C10, exp64C9, exp64C8, exp64C7, exp64C6, exp64C5, exp64C4, exp64C3, exp64C2, 1,
}

//lint:ignore U1000 read in assembly
var e4m3Table = [...]uint32{exponent, e4m3Least, e4m3Grid, signBit}

// tailMask is 16 lanes of ones and 16 of zeros: from lane 16−n on it is the mask of
// the first n lanes, which VMASKMOVPS takes.
//
//lint:ignore U1000 read in assembly
var tailMask = [32]int32{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}

// gateOrder is the order, for VPERMPD and in bytes, that brings what VSHUFPS took apart
// within 128 bits back into the order of the pairs.
//
//lint:ignore U1000 read in assembly
var gateOrder = [8]byte{0, 2, 4, 6, 1, 3, 5, 7}
