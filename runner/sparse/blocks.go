package sparse

import "math"

// Blocks are MiniMax-M3's: of blocks of Size keys a token sees Count, those of the
// largest score, where the Local blocks up to its own come first.
type Blocks struct{ Size, Count, Local int }

// Choose appends to dst, in ascending order, the blocks for a token. scores are those of
// the keys it may see, the last one its own; total is the number of keys of the pass,
// which decides how ties are broken.
func (b Blocks) Choose(dst []int32, scores []float32, total int, s *Selector) []int32 {
	best := make([]float32, (total+b.Size-1)/b.Size)
	for i := range best {
		best[i] = float32(math.Inf(-1))
	}
	for i, v := range scores {
		best[i/b.Size] = max(best[i/b.Size], v)
	}
	own := (len(scores) - 1) / b.Size
	for i := range b.Local {
		best[max(own-i, 0)] = float32(math.Inf(1))
	}
	return s.Top(dst, best, min(b.Count, len(best)))
}

// Keys appends the keys of blocks, or of pools, of size keys below n.
func Keys(dst, blocks []int32, size, n int) []int32 {
	for _, b := range blocks {
		for i := int(b) * size; i < min((int(b)+1)*size, n); i++ {
			dst = append(dst, int32(i))
		}
	}
	return dst
}

// Tail appends the keys behind the last complete block or pool of the first n.
func Tail(dst []int32, size, n int) []int32 {
	for i := n / size * size; i < n; i++ {
		dst = append(dst, int32(i))
	}
	return dst
}
