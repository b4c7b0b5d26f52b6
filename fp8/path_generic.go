package fp8

// genericPath is the scalar reference.
var genericPath = path{
	name:        "generic",
	bind:        bindGeneric,
	decode:      decodeGeneric,
	widen:       widenGeneric,
	decodeE4M3:  decodeE4M3Generic,
	nonFinite:   nonFiniteGeneric,
	nanCodes:    nanCodesGeneric,
	castF32BF16: castF32BF16Generic,
}

// tablePath is the fastest portable path.
var tablePath = path{
	name:        "table",
	prunes:      true,
	bind:        bindTable,
	decode:      decodeGeneric,
	widen:       widenGeneric,
	decodeE4M3:  decodeE4M3Generic,
	nonFinite:   nonFiniteGeneric,
	nanCodes:    nanCodesGeneric,
	castF32BF16: castF32BF16Generic,
}

func decodeGeneric(dst []float32, src []byte, e Elem) { e.decode(dst, src) }
