package plan_test

import (
	"errors"
	"math"
	"testing"

	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/scheme"
)

func TestGridOf(t *testing.T) {
	type ints = []int64
	for _, c := range []struct {
		name       string
		rows, cols int64
		scale      ints
		block      ints
		want       plan.Grid
	}{
		{"tiles", 256, 384, ints{2, 3}, nil, plan.Grid{Rows: 2, Cols: 3, TileRows: 128, TileCols: 128, Parts: 1}},
		{"ragged tiles", 300, 129, ints{3, 2}, nil, plan.Grid{Rows: 3, Cols: 2, TileRows: 128, TileCols: 128, Parts: 1}},
		{"4-D tiles", 300, 129, ints{3, 1, 2, 1}, nil, plan.Grid{Rows: 3, Cols: 2, TileRows: 128, TileCols: 128, Parts: 1}},
		{"one tile", 100, 100, ints{1, 1}, nil, plan.Grid{Rows: 1, Cols: 1, TileRows: 128, TileCols: 128, Parts: 1}},
		{"the config's tiles", 300, 129, ints{5, 5}, ints{64, 32}, plan.Grid{Rows: 5, Cols: 5, TileRows: 64, TileCols: 32, Parts: 1}},
		{"tiles of rows", 300, 256, ints{300, 2}, ints{1, 128}, plan.Grid{Rows: 300, Cols: 2, TileRows: 1, TileCols: 128, Parts: 1}},
		{"a block that is none", 256, 384, ints{2, 3}, ints{0, 128}, plan.Grid{Rows: 2, Cols: 3, TileRows: 128, TileCols: 128, Parts: 1}},
		{"scalar", 300, 500, nil, nil, plan.Grid{Rows: 1, Cols: 1, TileRows: 300, TileCols: 500, Parts: 1}},
		{"scalar [1]", 300, 500, ints{1}, nil, plan.Grid{Rows: 1, Cols: 1, TileRows: 300, TileCols: 500, Parts: 1}},
		{"scalar [1,1]", 300, 500, ints{1, 1}, nil, plan.Grid{Rows: 1, Cols: 1, TileRows: 300, TileCols: 500, Parts: 1}},
		{"rows", 300, 500, ints{300}, nil, plan.Grid{Rows: 300, Cols: 1, TileRows: 1, TileCols: 500, Parts: 1}},
		{"rows [o,1]", 300, 500, ints{300, 1}, nil, plan.Grid{Rows: 300, Cols: 1, TileRows: 1, TileCols: 500, Parts: 1}},
		{"groups", 300, 512, ints{300, 16}, nil, plan.Grid{Rows: 300, Cols: 16, TileRows: 1, TileCols: 32, Parts: 1}},
		{"a scale an element", 3, 4, ints{3, 4}, nil, plan.Grid{Rows: 3, Cols: 4, TileRows: 1, TileCols: 1, Parts: 1}},
		{"joined parts of MiMo", 27136, 6144, ints{216, 48}, nil, plan.Grid{Rows: 216, Cols: 48, TileRows: 128, TileCols: 128, Parts: 8}},
		{"two joined parts", 814, 200, ints{8, 2}, nil, plan.Grid{Rows: 8, Cols: 2, TileRows: 128, TileCols: 128, Parts: 2}},
		{"no rows", 0, 128, ints{0, 1}, nil, plan.Grid{Rows: 0, Cols: 1, TileRows: 128, TileCols: 128, Parts: 1}},
	} {
		g, err := scheme.GridOf(c.rows, c.cols, c.scale, c.block)
		if err != nil || g != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.name, g, err, c.want)
		}
		if want := c.want.TileRows == 128 && c.want.TileCols == 128 && c.want.Parts == 1; g.IsTile128() != want {
			t.Errorf("%s: IsTile128 is %v", c.name, !want)
		}
		inGrid(t, c.name, g, c.rows, c.cols)
	}
}

// inGrid checks that every element has a scale, and that rows of scales are met
// in order, each of them.
func inGrid(t *testing.T, name string, g plan.Grid, rows, cols int64) {
	t.Helper()
	last := int64(-1)
	for r := range rows {
		n := g.Row(r, rows)
		if n != last && n != last+1 {
			t.Fatalf("%s: row %d has scale row %d after %d", name, r, n, last)
		}
		last = n
	}
	if rows > 0 && last != g.Rows-1 {
		t.Errorf("%s: the last row has scale row %d of %d", name, last, g.Rows)
	}
	if cols > 0 && (cols-1)/g.TileCols >= g.Cols {
		t.Errorf("%s: column %d lies outside", name, cols-1)
	}
}

func TestGridOfRefuses(t *testing.T) {
	type ints = []int64
	for _, c := range []struct {
		rows, cols int64
		scale      ints
		block      ints
	}{
		{300, 500, ints{3, 3}, nil},                         // fewer than tiles
		{300, 500, ints{4, 3}, nil},                         // neither
		{300, 500, ints{2, 4}, nil},                         // tiles of 150 rows
		{300, 500, ints{500}, nil},                          // one a column
		{300, 500, ints{1, 400}, nil},                       // neither a row nor a column
		{300, 500, ints{300, 3}, nil},                       // groups that do not divide a row
		{300, 500, ints{300, 0}, nil},                       // none
		{300, 500, ints{0}, nil},                            // none
		{300, 500, ints{3, 4, 1}, nil},                      // 3-D
		{300, 500, ints{3, 4, 1, 1}, nil},                   // 4-D, in another order
		{300, 500, ints{1, 1, 1}, nil},                      // a 3-D scalar
		{300, 500, ints{-3, 4}, nil},                        //
		{300, 500, ints{math.MaxInt64, math.MaxInt64}, nil}, // overflows
		{27136, 6144, ints{217, 48}, nil},                   // one row more than MiMo's
		{300, 500, ints{3, 4}, ints{64, 64}},                // not the config's tiles
	} {
		if g, err := scheme.GridOf(c.rows, c.cols, c.scale, c.block); !errors.Is(err, invalid.Input) {
			t.Errorf("%v over [%d %d]: %+v, %v", c.scale, c.rows, c.cols, g, err)
		}
	}
}

func TestScaleGrid(t *testing.T) {
	w := plan.Tensor{Name: "w", DType: safetensors.F8E4M3, Shape: []int64{300, 500}}
	for _, d := range []safetensors.DType{safetensors.F32, safetensors.BF16, safetensors.F16, safetensors.F8E8M0, safetensors.U8} {
		s := plan.Tensor{Name: "s", DType: d, Shape: []int64{3, 4}}
		if g, err := plan.ScaleGrid(&w, &s, nil); err != nil || !g.IsTile128() {
			t.Errorf("%s: %+v, %v", d, g, err)
		}
	}
	for what, pair := range map[string][2]plan.Tensor{
		"integers":      {w, {Name: "s", DType: safetensors.I32, Shape: []int64{3, 4}}},
		"doubles":       {w, {Name: "s", DType: safetensors.F64, Shape: []int64{3, 4}}},
		"another shape": {w, {Name: "s", DType: safetensors.F32, Shape: []int64{3, 5}}},
		"a vector":      {{Name: "w", DType: safetensors.F8E4M3, Shape: []int64{300}}, {Name: "s", DType: safetensors.F32}},
	} {
		if _, err := plan.ScaleGrid(&pair[0], &pair[1], nil); !errors.Is(err, invalid.Input) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestElem(t *testing.T) {
	floats := 0
	for d := safetensors.Bool; d <= safetensors.U64; d++ {
		if e, ok := plan.Elem(d); ok {
			floats++
			if e.String() != d.String() || int64(e.Size()) != d.Bits()/8 {
				t.Errorf("%s is %s", d, e)
			}
		}
	}
	if floats != 4 {
		t.Errorf("%d dtypes", floats)
	}
}
