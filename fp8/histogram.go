package fp8

import (
	"encoding/binary"
	"math"
)

// A search needs one pass over the tile for every scale. BF16 tiles spare most
// passes, because (y−q)² depends on the magnitude of a weight only, and of those
// there are few: a histogram of the tile, each weight counted as its column
// weighs, gives the cost of any scale to within what float32 sums can lose. A
// scale whose cost is above another's by more than that cannot win, and usually
// one scale is left. What is left is compared by the exact sums as ever, so the
// choice is the same.
//
// The histogram ends 13 binades below the largest magnitude. Above that all codes
// are normal at all scales that are tried, and halving a weight halves y and y−q
// exactly, as in tableTile.fill: all binades but the first are folded into the
// second one, and where nothing saturates all of them into the first.
const (
	binade         = 1 << 7 // BF16 patterns
	histogramSpan  = 13 * binade
	histogramSize  = 2048    // a power of two above, so that a mask replaces bounds checks
	histogramLeast = 0x1p-64 // amax from which on everything below is normal
	histogramRest  = 0x1p-16 // (y−q)² at most of a weight below the span: y < 533·2⁻¹³, the spacing there ≤ 2⁻⁷
	histogramSlack = 0x1p-16 // relative: 142 roundings of at most 2⁻²⁴ each, almost twice
	histogramTried = len(floatCandidates)
)

// histogram holds the bins and what prune makes of them.
type histogram struct {
	bins      [histogramSize]float64 // by the largest pattern minus the pattern; the rest at histogramSpan
	weights   [Tile]float64          // of the columns
	magnitude [2][binade]float32     // of the patterns of the first and the second binade
	first     [binade]float64        // the bins of the first binade
	below     [binade]float64        // all others, as bins of the second
	folded    [binade]float64        // all, as bins of the first
	kept      [histogramTried]candidate
}

// prune returns those of the candidates around the absmax scale that may have the
// least cost, in the same order. It takes BF16 tiles and float scales; of others
// it returns all candidates.
func (h *histogram) prune(t *tile, amax, absmax float32, all []candidate) []candidate {
	if t.elem != ElemBF16 || amax < histogramLeast || len(all) != histogramTried {
		return all
	}
	h.fill(t, math.Float32bits(amax)>>16)
	var lower [histogramTried]float64
	least := math.Inf(1)
	for i, c := range all {
		low, high := h.bounds(absmax, c)
		lower[i] = low
		least = min(least, high)
	}
	kept := h.kept[:0]
	for i, c := range all {
		if lower[i] <= least {
			kept = append(kept, c)
		}
	}
	return kept
}

// bounds returns numbers between which the cost of a candidate lies, the factor of
// its scale included.
func (h *histogram) bounds(absmax float32, c candidate) (low, high float64) {
	s := absmax * c.scale
	var sum float64
	if s < absmax { // the first binade saturates
		sum = binadeCost(&h.first, &h.magnitude[0], s) + binadeCost(&h.below, &h.magnitude[1], s)
	} else {
		sum = binadeCost(&h.folded, &h.magnitude[0], s)
	}
	rest := h.bins[histogramSpan] * histogramRest
	f := float64(c.cost)
	return f * sum * (1 - histogramSlack), f * (sum + rest) * (1 + histogramSlack)
}

// fill counts the tile, whose largest pattern is top.
func (h *histogram) fill(t *tile, top uint32) {
	for c, u := range t.columnWeights() {
		h.weights[c] = float64(u)
	}
	clear(h.bins[:])
	for r := range t.rows {
		row := t.src[r*t.stride*2:][:t.cols*2]
		c := uint(0)
		for ; len(row) >= 8; row = row[8:] {
			p := binary.LittleEndian.Uint64(row)
			h.count(top-uint32(p)&0x7fff, c)
			h.count(top-uint32(p>>16)&0x7fff, c+1)
			h.count(top-uint32(p>>32)&0x7fff, c+2)
			h.count(top-uint32(p>>48)&0x7fff, c+3)
			c += 4
		}
		for ; len(row) > 0; row = row[2:] {
			h.count(top-uint32(binary.LittleEndian.Uint16(row))&0x7fff, c)
			c++
		}
	}
	for j := range binade {
		h.magnitude[0][j] = BF16ToFloat32(uint16(top) - uint16(j))
		h.magnitude[1][j] = BF16ToFloat32(uint16(top) - uint16(j) - binade)
		var sum float64
		for i := histogramSpan - binade + j; i >= binade; i -= binade {
			sum = sum/4 + h.bins[i]
		}
		h.first[j] = h.bins[j]
		h.below[j] = sum
		h.folded[j] = h.bins[j] + sum/4
	}
}

// count counts a weight of column c whose pattern lies i below the largest.
func (h *histogram) count(i uint32, c uint) {
	h.bins[min(i, histogramSpan)%histogramSize] += h.weights[c%Tile]
}

// binadeCost returns the sum of (y−q)² at scale s over bins of the given
// magnitudes.
func binadeCost(bins *[binade]float64, magnitude *[binade]float32, s float32) (sum float64) {
	for j, w := range magnitude {
		y := w / s
		q, _ := roundE4M3(y)
		d := y - q
		sum += float64(d*d) * bins[j]
	}
	return sum
}
