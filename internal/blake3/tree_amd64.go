//go:build !noasm

package blake3

import (
	"encoding/binary"
	"slices"

	zeebo "github.com/zeebo/blake3"
)

const (
	groupLen = lanes * chunkLen // bytes of one call of the kernel
	granule  = 256              // chunks of the subtrees that are reduced at once
	narrow   = 8 * chunkLen     // up to here zeebo's 8 lanes are as fast
)

// A tree is the hasher over the kernel for 16 inputs. Chunks are compressed in groups
// of 16, straight from where they were written; only what does not fill a group is
// copied. A group waits until more bytes follow, because the last chunk may be the
// root. So whatever was compressed lies wholly to the left of something, and every
// granule, and every pair of subtrees of one size, can be joined as soon as it is there.
//
// Small inputs take little memory: there may be a hasher for each of many tensors.
type tree struct {
	buf    []byte          // not compressed yet, up to a group
	chunks uint64          // compressed, a multiple of 16: before those in buf
	values *[granule]value // of the last chunks%granule chunks; nil before there are any
	stack  []value         // of subtrees of granules, the largest first: one for each bit of chunks/granule
}

func (t *tree) Reset() { t.buf, t.chunks, t.stack = t.buf[:0], 0, t.stack[:0] }

func (t *tree) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		switch {
		case len(t.buf) == groupLen:
			t.compress((*[groupLen]byte)(t.buf))
			t.buf = t.buf[:0]
		case len(t.buf) == 0 && len(p) > groupLen:
			t.compress((*[groupLen]byte)(p))
			p = p[groupLen:]
		default:
			n := min(groupLen-len(t.buf), len(p))
			t.buf = append(t.buf, p[:n]...)
			p = p[n:]
		}
	}
	return written, nil
}

// compress takes the next 16 chunks, which are not the last ones.
func (t *tree) compress(in *[groupLen]byte) {
	if t.values == nil {
		t.values = new([granule]value)
	}
	chunks16((*[lanes]value)(t.values[t.chunks%granule:]), &in[0], t.chunks)
	t.chunks += lanes
	if t.chunks%granule != 0 {
		return
	}
	v := reduce(t.values, granule, 0)
	for n := t.chunks / granule; n%2 == 0; n /= 2 {
		last := len(t.stack) - 1
		v = join(t.stack[last], v, 0)
		t.stack = t.stack[:last]
	}
	t.stack = append(t.stack, v)
}

// reduce joins n values to one, and overwrites them. The top of the tree has the flags.
// A subtree on the left is the largest power of two that leaves something on the right:
// that is the same as to join neighbours, level by level, where one that has no
// neighbour goes up as it is.
func reduce(v *[granule]value, n int, top uint32) value {
	for n > 1 {
		odd, flags := v[n-1], uint32(0)
		if n == 2 {
			flags = top
		}
		for i := 0; i < n/2; i += lanes {
			parents16((*[lanes]value)(v[i:]), (*[2 * lanes]value)(v[2*i:]), flags)
		}
		if n%2 != 0 {
			v[n/2] = odd
		}
		n = (n + 1) / 2
	}
	return v[0]
}

func (t *tree) Sum(b []byte) []byte {
	if t.chunks == 0 && len(t.buf) <= narrow {
		d := zeebo.Sum256(t.buf)
		return append(b, d[:]...)
	}
	for _, word := range t.root() {
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	return b
}

// root computes the root's value, for more than one chunk. It changes nothing that
// counts: bytes behind the last are free.
func (t *tree) root() value {
	var v [granule]value
	n := int(t.chunks % granule)
	if n > 0 {
		copy(v[:n], t.values[:n])
	}
	t.buf = slices.Grow(t.buf, groupLen-len(t.buf))
	buf := t.buf[:groupLen]
	whole, rest := len(t.buf)/chunkLen, len(t.buf)%chunkLen
	if whole > 0 {
		chunks16((*[lanes]value)(v[n:]), &buf[0], t.chunks) // those beyond whole are not used
		n += whole
	}
	if rest > 0 {
		clear(buf[len(t.buf) : (len(t.buf)+blockLen-1)&^(blockLen-1)])
		v[n] = chunk(&buf[whole*chunkLen], rest, t.chunks+uint64(whole))
		n++
	}
	if len(t.stack) == 0 {
		return reduce(&v, n, root)
	}
	r := reduce(&v, n, 0)
	for _, left := range slices.Backward(t.stack[1:]) {
		r = join(left, r, 0)
	}
	return join(t.stack[0], r, root)
}

// sumTree is Sum256.
func sumTree(p []byte) (sum [Size]byte) {
	if len(p) <= narrow {
		return zeebo.Sum256(p)
	}
	var t tree
	_, _ = t.Write(p)
	t.Sum(sum[:0])
	return sum
}
