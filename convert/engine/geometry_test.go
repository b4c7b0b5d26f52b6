package engine

import (
	"testing"

	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/fp8"
)

// Chunks cover every element once, fit a slab and begin at tiles.
func TestCutCovers(t *testing.T) {
	type kind struct {
		op       plan.Op
		from, to safetensors.DType
	}
	kinds := []kind{
		{plan.Quantize, safetensors.BF16, safetensors.F8E4M3},
		{plan.Quantize, safetensors.F32, safetensors.F8E4M3},
		{plan.Quantize, safetensors.F64, safetensors.F8E4M3},
		{plan.Requantize, safetensors.F8E4M3, safetensors.F8E4M3},
		{plan.Dequantize, safetensors.F8E4M3, safetensors.BF16},
		{plan.Copy, safetensors.U8, safetensors.U8},
		{plan.Copy, safetensors.C64, safetensors.C64},
		{plan.Copy, safetensors.F4, safetensors.F4},
		{plan.Cast, safetensors.F64, safetensors.BF16},
		{plan.Widen, safetensors.F8E8M0, safetensors.F32},
	}
	sizes := []int64{0, 1, 2, 127, 128, 129, 1000, 2048, 5001}
	for _, k := range kinds {
		for _, rows := range sizes {
			for _, cols := range sizes {
				if k.from == safetensors.F4 && rows*cols%2 != 0 {
					continue
				}
				for _, slab := range []int{minSlab, minSlab + 64<<10, maxSlab} {
					x := &plan.Tensor{Name: "x", Op: k.op, DType: k.to, Shape: []int64{rows, cols}, Source: plan.View{DType: k.from, Shape: []int64{rows, cols}}}
					if k.op == plan.Requantize || k.op == plan.Dequantize { // by tiles: what has none is cut row by row
						x.Grid = &plan.Grid{}
					}
					g := cut(x, memory{slab: slab})
					covers(t, x, &g, slab, rows, cols)
					if t.Failed() {
						t.Fatalf("%s %s of %d×%d in slabs of %d: %+v", k.op, k.from, rows, cols, slab, g)
					}
				}
			}
		}
	}
}

func covers(t *testing.T, x *plan.Tensor, g *geometry, slab int, rows, cols int64) {
	t.Helper()
	next, area := int64(0), int64(0)
	for k := range g.chunks {
		s := g.span(k)
		if g.linear {
			if s.first != next || s.n <= 0 || s.n*max(g.in, g.out) > int64(slab) {
				t.Errorf("chunk %d: %+v", k, s)
			}
			next = s.first + s.n
			continue
		}
		per := max(x.Source.DType.Bits(), x.DType.Bits()) / 8
		if x.Op == plan.Requantize {
			per = 4
		}
		tile := int64(fp8.Tile)
		if x.Op == plan.Dequantize { // of numbers without tiles
			tile = g.grain.Rows
		}
		if s.Rows <= 0 || s.Cols <= 0 || s.Rows*s.Cols*per > int64(slab) || s.Row%tile != 0 || s.Col%tile != 0 || s.Row+s.Rows > rows || s.Col+s.Cols > cols {
			t.Errorf("chunk %d: %+v", k, s)
		}
		// In order, chunks go along a row of chunks, then to the next; so equal
		// areas and no overlap follow from their corners.
		if wantRow, wantCol := int64(k)/ceilDiv(cols, g.stepCols)*g.stepRows, int64(k)%ceilDiv(cols, g.stepCols)*g.stepCols; s.Row != wantRow || s.Col != wantCol {
			t.Errorf("chunk %d: %+v", k, s)
		}
		area += s.Rows * s.Cols
	}
	switch {
	case g.linear && next*g.in != x.Source.Bytes():
		t.Errorf("chunks end at %d", next)
	case !g.linear && area != rows*cols:
		t.Errorf("chunks cover %d elements", area)
	}
	if g.wide() && g.stepRows != fp8.Tile {
		t.Error("chunks are cut between columns, though whole rows of tiles fit")
	}
}

// The division of memory never exceeds the bound and gives what it says.
func TestDivide(t *testing.T) {
	for _, ops := range []plan.Op{plan.Quantize, plan.Requantize} {
		for _, tensors := range []int{1, 92000} {
			p := &plan.Plan{Tensors: make([]plan.Tensor, tensors)}
			edge := int64(4096 / min(tensors, 64)) // 32 MiB, or 8 KiB each
			for i := range p.Tensors {
				t := &p.Tensors[i]
				t.Op, t.DType, t.Shape = plan.Copy, safetensors.BF16, []int64{edge, edge}
				t.Source = plan.View{DType: t.DType, Shape: t.Shape}
			}
			p.Tensors[0].Op = ops
			for _, workers := range []int{1, 2, 16, 128} {
				for memory := int64(64 << 20); memory < 2<<30; memory += 137 << 20 {
					o := Options{Workers: workers, Memory: memory}
					m, err := divide(p, o)
					if err != nil {
						continue
					}
					if m.slab < minSlab || m.slab > maxSlab || m.slab%(64<<10) != 0 || m.workers > workers || m.ins < m.workers+m.reads || m.outs < m.workers+m.writes {
						t.Fatalf("%+v: %+v", o, m)
					}
					if tensors > 1 && m.slab > minSlab {
						t.Fatalf("%+v: slabs of %d bytes for tensors of %d", o, m.slab, 2*edge*edge)
					}
					if m.scratch < piece || ops == plan.Requantize && m.scratch < m.slab {
						t.Fatalf("%+v: scratch %d", o, m.scratch)
					}
					if n, err := Need(p, o); err != nil || n > memory {
						t.Fatalf("%+v: needs %d, %v", o, n, err)
					}
				}
			}
		}
	}
}
