//go:build !noasm

package blake3

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"testing"

	"quern/internal/cpu"
)

// compress is the specification's compression of one block, for one lane, in plain Go.
func compress(h value, block []byte, counter uint64, length, flags uint32) value {
	var m [16]uint32
	for i := range m {
		m[i] = binary.LittleEndian.Uint32(block[4*i:])
	}
	iv := initial
	v := [16]uint32{
		h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7],
		iv[0], iv[1], iv[2], iv[3], uint32(counter), uint32(counter >> 32), length, flags,
	}
	g := func(a, b, c, d int, x, y uint32) {
		v[a] += v[b] + x
		v[d] = bits.RotateLeft32(v[d]^v[a], -16)
		v[c] += v[d]
		v[b] = bits.RotateLeft32(v[b]^v[c], -12)
		v[a] += v[b] + y
		v[d] = bits.RotateLeft32(v[d]^v[a], -8)
		v[c] += v[d]
		v[b] = bits.RotateLeft32(v[b]^v[c], -7)
	}
	for range 7 {
		for i := range 4 {
			g(i, 4+i, 8+i, 12+i, m[2*i], m[2*i+1])
		}
		for i := range 4 {
			g(i, 4+(i+1)%4, 8+(i+2)%4, 12+(i+3)%4, m[8+2*i], m[9+2*i])
		}
		next := [16]int{2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8}
		old := m
		for i, from := range next {
			m[i] = old[from]
		}
	}
	for i := range h {
		h[i] = v[i] ^ v[i+8]
	}
	return h
}

var initial = value{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}

// What no input that a test can hold reaches is compared here: counters of many
// tebibytes, any flags, any length, any stride.
func TestCompress16(t *testing.T) {
	if !cpu.AVX512 {
		t.Skip("this machine has no AVX-512")
	}
	r := rand.New(rand.NewPCG(3, 4))
	in := make([]byte, 1<<16)
	for i := range in {
		in[i] = byte(r.Uint32())
	}
	for range 300 {
		blocks := 1 + r.IntN(18)
		stride := r.IntN((len(in) - 64*blocks) / 15)
		counter := r.Uint64() >> r.IntN(64) &^ 15
		step, flags, start, end, last := r.Uint32N(2), r.Uint32N(128), r.Uint32N(128), r.Uint32N(128), r.Uint32N(65)
		var out [lanes]value
		compress16(&out, &in[0], uintptr(stride), uintptr(blocks), counter, step, flags, start, end, last)
		for i, got := range out {
			want := initial
			for k := range blocks {
				length, f := uint32(blockLen), flags
				if k == 0 {
					f |= start
				}
				if k == blocks-1 {
					length, f = last, f|end
				}
				want = compress(want, in[i*stride+k*blockLen:], counter+uint64(i)*uint64(step), length, f)
			}
			if got != want {
				t.Fatalf("lane %d of %d blocks, stride %d, counter %#x: %x, want %x", i, blocks, stride, counter, got, want)
			}
		}
	}
}
