// Package kernels holds the kernels of package gpu: one source, *.cl, that
// compiles as OpenCL C and as CUDA C++, and the PTX that go generate makes of it.
package kernels

import (
	_ "embed"
)

//go:generate go run ./_generate

// GroupSize is how many threads a work-group of every kernel has.
const GroupSize = 256

// Numbers that kernels and host share; the names are those of the source.
const (
	UE8M0    = 1 << 0 // flags of Scale and Quantize
	Search   = 1 << 1
	Weighted = 1 << 2
	Given    = 1 << 3

	StatsBytes = 32 // of one tile
	ZeroTile   = 1 << 0
	NonFinite  = 1 << 1

	GemmRows  = 64 // of y, that one work-group makes
	GemmOuts  = 128
	GemmDepth = 16 // columns are padded to a multiple of this

	// LocalMemory is the most that a kernel takes.
	LocalMemory = 28 << 10
)

// Kernel is an entry point: its parameters are first buffers, then 32-bit numbers.
type Kernel struct {
	Name    string
	Buffers int
	Words   int
}

// ByElem are the variants of a kernel for the types of its source or destination.
type ByElem struct{ BF16, F16, F32, E4M3 *Kernel }

var (
	// Amax is src, amax; stride, rows.
	Amax = variants("amax", 2, 2, "bf16", "f16", "f32")
	// Scale is src, stats, factors; stride, rows, flags.
	Scale = variants("scale", 3, 3, "bf16", "f16", "f32")
	// Quantize is src, codes, stats; stride, rows, flags.
	Quantize = variants("quantize", 3, 3, "bf16", "f16", "f32")
	// Dequantize is codes, dst, scales, rowOf; stride, rows, gridCols, tileCols, col0.
	Dequantize = variants("dequantize", 4, 5, "bf16", "f32")
	// Gemm is x, w, y, scales, rowOf; rows, outs, depth, gridCols, tileCols, col0.
	Gemm = variants("gemm", 5, 6, "bf16", "f16", "f32", "e4m3")
	// Probe is a, b, out; n.
	Probe = &Kernel{"probe", 3, 1}
	// Copy is src, dst; n.
	Copy = &Kernel{"copy", 2, 1}
)

// All are the kernels.
var All = append(list(Amax, Scale, Quantize, Dequantize, Gemm), Probe, Copy)

func variants(name string, buffers, words int, types ...string) ByElem {
	var b ByElem
	for _, t := range types {
		k := &Kernel{name + "_" + t, buffers, words}
		switch t {
		case "bf16":
			b.BF16 = k
		case "f16":
			b.F16 = k
		case "f32":
			b.F32 = k
		case "e4m3":
			b.E4M3 = k
		}
	}
	return b
}

func list(sets ...ByElem) (ks []*Kernel) {
	for _, s := range sets {
		for _, k := range []*Kernel{s.BF16, s.F16, s.F32, s.E4M3} {
			if k != nil {
				ks = append(ks, k)
			}
		}
	}
	return ks
}

//go:embed common.cl
var common string

//go:embed quantize.cl
var quantize string

//go:embed dequantize.cl
var dequantize string

//go:embed gemm.cl
var gemm string

//go:embed probe.cl
var probe string

// Source is the whole source.
func Source() string { return common + quantize + dequantize + gemm + probe }
