package blake3

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"quern/internal/cpu/cputest"

	zeebo "github.com/zeebo/blake3"
)

// counted is the input of the official test vectors.
func counted(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i % 251)
	}
	return p
}

// each runs a test on every path.
func each(t *testing.T, test func(t *testing.T)) {
	for _, p := range paths() {
		t.Run(p.name, func(t *testing.T) {
			cputest.Use(t, p.name)
			test(t)
		})
	}
}

// The first 32 bytes of the digests that the official test vectors give, one for each
// kind of tree: nothing, a block, a chunk, two chunks, many.
func TestVectors(t *testing.T) {
	each(t, func(t *testing.T) {
		for _, v := range []struct {
			n    int
			want string
		}{
			{0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
			{1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"},
			{1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"},
			{1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"},
			{31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47"},
			{102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"},
		} {
			if got := fmt.Sprintf("%x", Sum256(counted(v.n))); got != v.want {
				t.Errorf("%d bytes: %s, want %s", v.n, got, v.want)
			}
		}
	})
}

// The lengths of the official test vectors, and those around every border of the tree:
// blocks, chunks, groups, granules.
func TestLengths(t *testing.T) {
	lengths := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 31744, 102400}
	for _, n := range []int{64, 128, 1024, 2048, 3072, 4096, 5120, 6144, 7168, 8192, 9216, 16384, 17408, 32768, 49152, 1 << 18, 1<<18 + 1024, 1<<18 + 1<<14, 1 << 19, 3 << 18, 1 << 20, 5 << 18, 7 << 18} {
		lengths = append(lengths, n-1, n, n+1)
	}
	p := counted(2 << 20)
	each(t, func(t *testing.T) {
		h := New()
		for _, n := range lengths {
			want := zeebo.Sum256(p[:n])
			if got := Sum256(p[:n]); got != want {
				t.Errorf("Sum256 of %d bytes: %x, want %x", n, got, want)
			}
			h.Reset()
			h.Write(p[:n])
			if got := h.Sum(nil); !bytes.Equal(got, want[:]) {
				t.Errorf("%d bytes written: %x, want %x", n, got, want)
			}
		}
	})
}

// However the bytes are split, and whatever was asked for or hashed before, the digest
// is zeebo's.
func TestSplits(t *testing.T) {
	each(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		p := make([]byte, 5<<20)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		h, twin := New(), zeebo.New()
		for range 60 {
			n := r.IntN(1 << r.IntN(23))
			split(t, h, twin, p[:min(n, len(p))], r)
			h.Reset()
			twin.Reset()
		}
	})
}

// split writes p in pieces of random sizes to both, and compares some of the digests
// on the way.
func split(t *testing.T, h *Hasher, twin *zeebo.Hasher, p []byte, r *rand.Rand) {
	t.Helper()
	most := 1 + r.IntN(1<<(6+r.IntN(14)))
	for at := 0; ; {
		if at == len(p) || r.IntN(8) == 0 {
			if got, want := h.Sum([]byte("x")), twin.Sum([]byte("x")); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes in pieces of up to %d: %x, want %x", at, most, got[1:], want[1:])
			}
		}
		if at == len(p) {
			return
		}
		n := min(1+r.IntN(most), len(p)-at)
		if m, err := h.Write(p[at : at+n]); m != n || err != nil {
			t.Fatalf("writing %d bytes: %d, %v", n, m, err)
		}
		twin.Write(p[at : at+n])
		at += n
	}
}

// FuzzSplits repeats the input so that it fills groups and granules.
func FuzzSplits(f *testing.F) {
	f.Add([]byte("quern"), uint32(1<<14), uint64(1))
	f.Add(counted(251), uint32(1<<18+1), uint64(2))
	f.Add(counted(1025), uint32(0), uint64(3))
	f.Fuzz(func(t *testing.T, p []byte, length uint32, seed uint64) {
		if n := int(length % (1 << 20)); len(p) > 0 && n > len(p) {
			p = bytes.Repeat(p, n/len(p)+1)[:n]
		}
		for _, path := range paths() {
			cputest.Use(t, path.name)
			split(t, New(), zeebo.New(), p, rand.New(rand.NewPCG(seed, 0)))
			if got, want := Sum256(p), zeebo.Sum256(p); got != want {
				t.Errorf("%s: Sum256 of %d bytes: %x, want %x", path.name, len(p), got, want)
			}
		}
	})
}

// A hasher ends on the path that it began on.
func TestPathChanges(t *testing.T) {
	p := counted(300000)
	want := zeebo.Sum256(p)
	all := paths()
	for i, from := range all {
		cputest.Use(t, from.name)
		h := New()
		h.Write(p[:100000])
		cputest.Use(t, all[(i+1)%len(all)].name)
		h.Write(p[100000:])
		if got := h.Sum(nil); !bytes.Equal(got, want[:]) {
			t.Errorf("%s and another: %x, want %x", from.name, got, want)
		}
	}
}
