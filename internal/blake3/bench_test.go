package blake3

import (
	"strconv"
	"testing"
)

// Benchmark measures digests of single pieces, by a hasher that is used again, and of
// a stream of 64 MiB, which few caches hold, in pieces of 2 MiB. The generic path is
// zeebo's hasher.
func Benchmark(b *testing.B) {
	const stream, piece = 64 << 20, 2 << 20
	p := counted(stream)
	for _, n := range []int{100, 1 << 10, 4 << 10, 16 << 10, 64 << 10, piece, stream} {
		for _, path := range paths() {
			b.Run(strconv.Itoa(n)+"/"+path.name, func(b *testing.B) {
				h := path.state()
				b.SetBytes(int64(n))
				var sum [32]byte
				for b.Loop() {
					h.Reset()
					for i := 0; i < n; i += piece {
						h.Write(p[i:min(i+piece, n)])
					}
					h.Sum(sum[:0])
				}
			})
		}
	}
}
