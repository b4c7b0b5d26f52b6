package gpu

import (
	"math/rand/v2"
	"testing"
)

// Parts cover a matrix once, begin where they may, and fit.
func TestCut(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		rows, cols := 1+r.IntN(600), 1+r.IntN(600)
		step, colStep, align := []int{1, 128}[r.IntN(2)], []int{4, 128}[r.IntN(2)], 4
		room := 1 + r.IntN(200000)
		fit := func(stride int) int { return room / stride }
		parts := cut(rows, cols, step, colStep, align, fit)
		if parts == nil {
			if fit(roundUp(min(cols, colStep), align)) >= step {
				t.Fatalf("%d×%d: no parts, and the smallest fits %d", rows, cols, room)
			}
			continue
		}
		seen := make([]bool, rows*cols)
		for _, p := range parts {
			if p.row%step != 0 || p.col%colStep != 0 || p.stride%align != 0 || p.stride < p.cols || fit(p.stride) < p.rows {
				t.Fatalf("%d×%d in %d: %+v", rows, cols, room, p)
			}
			for r := range p.rows {
				for c := range p.cols {
					at := (p.row+r)*cols + p.col + c
					if seen[at] {
						t.Fatalf("%d×%d: %+v covers what is covered", rows, cols, p)
					}
					seen[at] = true
				}
			}
		}
		for at, ok := range seen {
			if !ok {
				t.Fatalf("%d×%d: element %d is in no part", rows, cols, at)
			}
		}
	}
}
