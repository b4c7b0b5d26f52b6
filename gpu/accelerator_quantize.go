package gpu

import (
	"math"

	"quern/fp8"
	"quern/gpu/kernels"
)

// tileParts cuts m between tiles.
func (a *accelerator) tileParts(m fp8.Matrix) []part {
	size := min(m.Elem.Size(), 4)
	return cut(m.Rows, m.Cols, fp8.Tile, fp8.Tile, 4, func(stride int) int {
		if 4*stride > a.small { // the columns' weights
			return 0
		}
		return min(a.chunk/(stride*size), a.small/kernels.StatsBytes/ceilDiv(stride, fp8.Tile)*fp8.Tile)
	})
}

// grid is the part's grid of tiles.
func (p part) grid() (rows, cols int) {
	return ceilDiv(p.rows, fp8.Tile), ceilDiv(p.cols, fp8.Tile)
}

// pick returns the variant of a kernel for elements of type e on the device.
func pick(k kernels.ByElem, e fp8.Elem) *kernels.Kernel {
	switch e {
	case fp8.ElemBF16:
		return k.BF16
	case fp8.ElemF16:
		return k.F16
	}
	return k.F32 // F64, too
}

func (a *accelerator) Amax(amax []float32, m fp8.Matrix) *Pending {
	_, across, err := checkTiles("amax", len(amax), m, fp8.Options{})
	if err != nil || len(amax) == 0 {
		return done(err)
	}
	return a.call(func(j *job) {
		for _, p := range a.tileParts(m) {
			if !j.piece(func(s *slot) (func(), error) {
				rows, cols := p.grid()
				if err := a.uploadMatrix(s, m, p); err != nil {
					return nil, err
				}
				if err := s.launch(pick(kernels.Amax, m.Elem), rows*cols, buffers(s.src, s.small[0]), p.stride, p.rows); err != nil {
					return nil, err
				}
				top, err := s.fetchSmall(0, rows*cols)
				return func() {
					for t, x := range top {
						amax[p.tile(t, across)] = math.Float32frombits(x)
					}
				}, err
			}) {
				return
			}
		}
	})
}

// tile returns the index of the part's tile t in the whole matrix, which is across
// tiles wide.
func (p part) tile(t, across int) int {
	_, cols := p.grid()
	return (p.row/fp8.Tile+t/cols)*across + p.col/fp8.Tile + t%cols
}

func (a *accelerator) Scales(scales []float32, m fp8.Matrix, o fp8.Options) *Pending {
	_, across, err := checkTiles("scales", len(scales), m, o)
	if err != nil || len(scales) == 0 {
		return done(err)
	}
	return a.call(func(j *job) {
		for _, p := range a.tileParts(m) {
			if !j.piece(func(s *slot) (func(), error) {
				if err := a.uploadMatrix(s, m, p); err != nil {
					return nil, err
				}
				if err := a.scale(s, p, m.Elem, o); err != nil {
					return nil, err
				}
				stats, err := a.fetchStats(s, p)
				return func() {
					for t := range len(stats) / statsWords {
						scales[p.tile(t, across)] = math.Float32frombits(stats[t*statsWords]) // NaN where not finite
					}
				}, err
			}) {
				return
			}
		}
	})
}

func (a *accelerator) Quantize(codes []byte, codeStride int, tiles []fp8.TileStats, m fp8.Matrix, o fp8.Options) *Pending {
	_, across, err := checkTiles("tiles", len(tiles), m, o)
	if err != nil || len(tiles) == 0 || !fits(len(codes), codeStride, m.Rows, m.Cols) {
		return done(fp8.Quantize(codes, codeStride, tiles, m, o)) // which says what does not fit
	}
	return a.call(func(j *job) {
		for _, p := range a.tileParts(m) {
			if !j.piece(func(s *slot) (func(), error) {
				if err := a.uploadMatrix(s, m, p); err != nil {
					return nil, err
				}
				flags := scaleFlags(o)
				if o.Search != fp8.SearchNone {
					if err := a.scale(s, p, m.Elem, o); err != nil {
						return nil, err
					}
					flags |= kernels.Given
				}
				rows, cols := p.grid()
				if err := s.launch(pick(kernels.Quantize, m.Elem), rows*cols, buffers(s.src, s.dst, s.small[0]), p.stride, p.rows, flags); err != nil {
					return nil, err
				}
				finish, err := a.download(s, codes, p, codeStride, 1)
				if err != nil {
					return nil, err
				}
				stats, err := a.fetchStats(s, p)
				return func() {
					if finish != nil {
						finish()
					}
					for t := range len(stats) / statsWords {
						tiles[p.tile(t, across)] = tileStats(stats[t*statsWords:][:statsWords])
					}
				}, err
			}) {
				return
			}
		}
	})
}

// scale enqueues the kernel that writes the scales of a part.
func (a *accelerator) scale(s *slot, p part, e fp8.Elem, o fp8.Options) error {
	flags := scaleFlags(o)
	if o.Search != fp8.SearchNone {
		flags |= kernels.Search
	}
	if o.Search == fp8.SearchWeighted && len(o.Weights) > 0 {
		flags |= kernels.Weighted
		factors := make([]float32, p.stride)
		fp8.NormalizeWeights(factors, o.Weights[p.col:p.col+p.cols])
		words := make([]uint32, p.stride)
		for c := range words {
			if c >= p.cols {
				factors[c] = 1
			}
			words[c] = math.Float32bits(factors[c])
		}
		if err := s.sendSmall(1, words); err != nil {
			return err
		}
	}
	rows, cols := p.grid()
	return s.launch(pick(kernels.Scale, e), rows*cols, buffers(s.src, s.small[0], s.small[1]), p.stride, p.rows, flags)
}

func scaleFlags(o fp8.Options) int {
	if o.ScaleFormat == fp8.ScaleUE8M0 {
		return kernels.UE8M0
	}
	return 0
}

// statsWords are the words that kernels write for a tile.
const statsWords = kernels.StatsBytes / 4

func (a *accelerator) fetchStats(s *slot, p part) ([]uint32, error) {
	rows, cols := p.grid()
	return s.fetchSmall(0, rows*cols*statsWords)
}

func tileStats(w []uint32) fp8.TileStats {
	if w[7]&kernels.NonFinite != 0 {
		return fp8.TileStats{NonFinite: true}
	}
	return fp8.TileStats{
		Scale:     math.Float32frombits(w[0]),
		SumSq:     math.Float32frombits(w[1]),
		SumErr:    math.Float32frombits(w[2]),
		MaxErr:    math.Float32frombits(w[3]),
		Saturated: w[4],
		Subnormal: w[5],
		Zero:      w[6],
		ZeroTile:  w[7]&kernels.ZeroTile != 0,
	}
}
