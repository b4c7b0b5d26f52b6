package safetensors

import "strings"

// A header of 92,000 tensors has as many names and shapes. The arenas below give
// them memory in blocks, so that reading one costs a few allocations instead of two
// a tensor, and nothing keeps the text of the header alive.

// blockBytes is the size of a block of either arena.
const blockBytes = 64 << 10

// textArena holds strings.
type textArena struct {
	hint  int // no block is larger than this, unless one string is
	block *strings.Builder
}

// add returns a copy of b.
func (a *textArena) add(b []byte) string {
	if a.block == nil || a.block.Cap()-a.block.Len() < len(b) {
		a.block = new(strings.Builder)
		a.block.Grow(max(len(b), min(blockBytes, a.hint)))
	}
	start := a.block.Len()
	a.block.Write(b)
	return a.block.String()[start:]
}

// shapeArena holds shapes, which are built number by number.
type shapeArena struct {
	hint  int // of the first block's numbers
	block []int64
}

// mark is where the next shape begins in the block.
func (a *shapeArena) mark() int { return len(a.block) }

// add appends a number to the shape that begins at mark, and returns where that
// shape begins now: a full block is left, and the shape taken along to a new one.
func (a *shapeArena) add(n int64, mark int) int {
	if len(a.block) == cap(a.block) {
		begun := a.block[mark:]
		size := max(2*(len(begun)+1), min(blockBytes/8, max(a.hint, 16)))
		a.block = append(make([]int64, 0, size), begun...)
		mark = 0
	}
	a.block = append(a.block, n)
	return mark
}

// since returns the shape that begins at mark. It is never nil.
func (a *shapeArena) since(mark int) []int64 {
	if mark == len(a.block) {
		return []int64{}
	}
	return a.block[mark:len(a.block):len(a.block)]
}
