package verify

import (
	"fmt"

	"quern/convert/plan"
	"quern/fp8"
	"quern/internal/invalid"
	"quern/source"
)

// scaled is an FP8 weight with its scales. The matrices of fused experts are taken
// as one, below each other.
type scaled struct {
	weight     *plan.Tensor
	scale      *plan.Tensor
	rows, cols int64 // of the weight
	grid       plan.Grid
	files      *source.Files
}

// newScaled finds the scales of an FP8 weight of s.
func (s *side) newScaled(weight *plan.Tensor) (*scaled, error) {
	scale := s.scales[weight.Name]
	if scale == nil {
		return nil, invalid.Errorf("tensor %q: an FP8 weight without a scale", weight.Name)
	}
	grid, err := scaleGrid(weight, scale, s.block)
	if err != nil {
		return nil, err
	}
	rows := elements(weight.Shape[:len(weight.Shape)-1])
	return &scaled{weight: weight, scale: scale, rows: rows, cols: weight.Shape[len(weight.Shape)-1], grid: grid, files: s.files}, nil
}

// scaleGrid is plan.ScaleGrid, but for fused experts with one scale for all: no engine
// reads those.
func scaleGrid(weight, scale *plan.Tensor, block []int64) (plan.Grid, error) {
	if len(weight.Shape) == 3 && (len(scale.Shape) == 0 || scale.Shape[0] != weight.Shape[0]) {
		return plan.Grid{}, invalid.Errorf("tensor %q: scale shape %v has no part for each of the %d matrices of %q, shape %v", scale.Name, scale.Shape, weight.Shape[0], weight.Name, weight.Shape)
	}
	return plan.ScaleGrid(weight, scale, block)
}

// patch is the part of a scale tensor that a range of codes needs.
type patch struct {
	scales     []float32
	rows, cols int64
	row, col   int64 // of the scale tensor, where the patch begins
}

// load reads the scales of n codes from the first on, which is far less than the
// codes take unless each has a scale of its own.
func (s *scaled) load(first, n int64) (patch, error) {
	if n == 0 {
		return patch{}, nil
	}
	rows, cols := s.rows, s.cols
	g, size := &s.grid, s.scale.DType.Bits()/8
	top, bottom := first/cols, (first+n-1)/cols
	p := patch{row: g.Row(top, rows), cols: g.Cols}
	p.rows = g.Row(bottom, rows) - p.row + 1
	if top == bottom { // a part of one row: of wide matrices even that may be much
		p.col = first % cols / g.TileCols
		p.cols = (first+n-1)%cols/g.TileCols - p.col + 1
	}
	raw := make([]byte, p.rows*p.cols*size)
	if err := s.files.Read(&s.scale.Source, raw, (p.row*g.Cols+p.col)*size); err != nil {
		return patch{}, err
	}
	p.scales = make([]float32, p.rows*p.cols)
	if !source.Floats(p.scales, raw, s.scale.DType) {
		return patch{}, invalid.Errorf("tensor %q: scales of dtype %s are not known", s.scale.Name, s.scale.DType)
	}
	return p, nil
}

// decode writes codes times their scales as elements of type e. first is the
// index of the first code in the matrix, and p has the scales of all.
func (s *scaled) decode(dst []byte, e fp8.Elem, codes []byte, first int64, p patch) error {
	rows, cols := s.rows, s.cols
	for len(codes) > 0 {
		// The rest of a row, or whole rows, or the beginning of one.
		r, c := first/cols, first%cols
		height, width := int64(1), min(cols-c, int64(len(codes)))
		if c == 0 && width == cols {
			height = int64(len(codes)) / cols
		}
		n := height * width
		err := fp8.Dequantize(dst, int(width), e, codes[:n], int(width), int(height), int(width), fp8.Grid{
			Scales: p.scales, Rows: int(p.rows), Cols: int(p.cols), TileRows: int(s.grid.TileRows), TileCols: int(s.grid.TileCols),
			RowOf: func(i int) int { return int(s.grid.Row(r+int64(i), rows) - p.row) },
			Col0:  int(c - p.col*s.grid.TileCols),
		})
		if err != nil {
			return fmt.Errorf("tensor %q: %w", s.weight.Name, err)
		}
		dst, codes, first = dst[n*int64(e.Size()):], codes[n:], first+n
	}
	return nil
}

// runs calls fn for the codes first … first+n−1 in runs that have one scale, which p has
// for all of them; k counts from first.
func (s *scaled) runs(first, n int64, p patch, fn func(k, n int64, scale float32)) {
	for k := int64(0); k < n; {
		r, c := (first+k)/s.cols, (first+k)%s.cols
		tile := c / s.grid.TileCols
		m := min((tile+1)*s.grid.TileCols, s.cols) - c
		m = min(m, n-k)
		fn(k, m, p.scales[(s.grid.Row(r, s.rows)-p.row)*p.cols+tile-p.col])
		k += m
	}
}
