//go:build !noasm

package fp8

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// A sample of the exhaustive check that avx512_amd64.go reports: the kernels that
// multiply and correct against those that divide. Every row of the tile holds all
// significands of BF16 in one binade, so that Σ(y−q)² shows any wrong quotient.
func TestMultiplyInsteadOfDividing(t *testing.T) {
	if !slices.Contains(fastPaths(), "avx512") {
		t.Skip("no AVX-512 here")
	}
	src := make([]byte, 2*Tile*Tile)
	for i := range Tile * Tile {
		p := uint16(127+4-i/Tile%10)<<7 | uint16(i%Tile)
		binary.LittleEndian.PutUint16(src[2*i:], p)
	}
	codes, fast := make([]byte, Tile*Tile), make([]byte, Tile*Tile)
	var want, got rawSums
	check := func(s float32) {
		t.Helper()
		encodeBF16AVX512(&codes[0], Tile, &src[0], 2*Tile, s, &want)
		encodeFastBF16AVX512(&fast[0], Tile, &src[0], 2*Tile, s, &got)
		if got != want || !slices.Equal(codes, fast) {
			t.Fatalf("scale %v: %+v, want %+v", s, got, want)
		}
		inf := float32(math.Inf(1))
		a := costFastBF16AVX512(&src[0], 2*Tile, s, 1, inf)
		if b := costBF16AVX512(&src[0], 2*Tile, s, 1, inf); a != b || a != want.sumErr {
			t.Fatalf("scale %v: cost %v, want %v", s, a, b)
		}
	}
	r := rand.New(rand.NewPCG(13, 13))
	for i := range uint32(2000) {
		check(math.Float32frombits(127<<23 | r.Uint32N(1<<23)))
		check(math.Float32frombits(127<<23 | i))
		check(math.Float32frombits(128<<23 - 1 - i))
	}
}
