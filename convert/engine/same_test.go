package engine_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/engine"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/blockio/faultfs"
	"quern/scheme"
)

// The number of workers, the size of slabs and the number of processors leave
// no trace, whatever the options.
func TestSameBytesForAnyWorkers(t *testing.T) {
	steady(t)
	ck, err := hf.Open(tiny())
	if err != nil {
		t.Fatal(err)
	}
	for what, o := range map[string]convert.QuantizeOptions{
		"default": {ShardSize: tinyShard},
		"search":  {ShardSize: 1 << 20, Search: fp8.SearchMSE},
		"ue8m0":   {UE8M0: true, KeepMTP: true},
	} {
		p, err := convert.PlanQuantize(ck, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(what, func(t *testing.T) { everyWay(t, ck, p) })
	}
}

func TestSameBytesOnOneProcessor(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	want := tinyClean()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, workers := range []int{1, 8} {
		got := convertTo(t, ck, p, filepath.Join(temp(t), "out"), func(o *engine.Options) { quick(o); o.Workers = workers })
		sameFiles(t, fmt.Sprintf("%d workers", workers), got, want)
	}
}

// Matrices of which a row of tiles does not fit a slab are split between
// columns too. That must not show: not in the codes, not in the scales, not in
// the digests, which are then taken from the file.
func TestWideMatrices(t *testing.T) {
	steady(t)
	shapes := [][]int64{{128, 5000}, {300, 3001}, {1, 40000}, {129, 2048}, {7, 9}}
	var list []tensor
	for _, d := range []safetensors.DType{safetensors.BF16, safetensors.F16, safetensors.F32, safetensors.F64} {
		for _, s := range shapes {
			list = append(list, tensor{name: fmt.Sprintf("%s.%dx%d", d, s[0], s[1]), dtype: d, shape: s})
		}
	}
	dir := checkpoint(t, generic, list...)
	in := tensorsOf(t, folder(t, dir)["model.safetensors"])
	for _, q := range []plan.Quant{{}, {Params: scheme.Params{UE8M0: true, Search: fp8.SearchMSE}}, {Params: scheme.Params{Search: fp8.SearchWeighted}}} {
		if raced && q.Search != fp8.SearchNone {
			continue
		}
		ck, p := planOf(t, dir, 1<<20, quantized(q))
		got := everyWay(t, ck, p)
		for _, x := range list {
			e := map[safetensors.DType]fp8.Elem{safetensors.BF16: fp8.ElemBF16, safetensors.F16: fp8.ElemF16, safetensors.F32: fp8.ElemF32, safetensors.F64: fp8.ElemF64}[x.dtype]
			q.Channels = x.name
			codes, scales := quantizedWhole(t, in[x.name], e, x.shape[0], x.shape[1], q)
			if got[x.name] != codes || got[x.name+"_scale_inv"] != scales {
				t.Errorf("%s, %+v: not what the kernel makes of the whole matrix", x.name, q)
			}
		}
	}
}

// Scales of every layout and dtype are found for every element, however the
// matrix is cut.
func TestScaleLayouts(t *testing.T) {
	steady(t)
	tile := func(cols int64) scaleAt {
		return func(s []float32, r, c int64) float32 { return s[r/128*((cols+127)/128)+c/128] }
	}
	row := func(s []float32, r, _ int64) float32 { return s[r] }
	one := func(s []float32, _, _ int64) float32 { return s[0] }
	const narrow, wide = 200, 5000
	cases := []struct {
		name       string
		rows, cols int64
		dtype      safetensors.DType
		shape      []int64
		at         scaleAt
	}{
		{"tiles", 300, narrow, safetensors.F32, []int64{3, 2}, tile(narrow)},
		{"tiles wide", 300, wide, safetensors.F8E8M0, []int64{3, 40}, tile(wide)},
		{"tiles 4-D", 200, wide, safetensors.BF16, []int64{2, 1, 40, 1}, tile(wide)},
		{"rows", 300, narrow, safetensors.F16, []int64{300, 1}, row},
		{"rows wide", 130, wide, safetensors.F32, []int64{130}, row},
		{"scalar", 300, narrow, safetensors.F32, nil, one},
		{"scalar wide", 130, wide, safetensors.BF16, []int64{1}, one},
		{"groups", 300, narrow, safetensors.BF16, []int64{300, 25}, func(s []float32, r, c int64) float32 { return s[r*25+c/8] }},
		{"groups wide", 130, wide, safetensors.U8, []int64{130, 200}, func(s []float32, r, c int64) float32 { return s[r*200+c/25] }},
		// Tiles do not begin where chunks do: groups of 40 and chunks of 1024 columns.
		{"groups of 40", 3, wide, safetensors.F32, []int64{3, 125}, func(s []float32, r, c int64) float32 { return s[r*125+c/40] }},
		// Each of two joined parts of 411 rows has four rows of tiles of its own.
		{"parts", 822, narrow, safetensors.F32, []int64{8, 2}, func(s []float32, r, c int64) float32 { return s[(r/411*4+r%411/128)*2+c/128] }},
		{"parts wide", 260, 3000, safetensors.F32, []int64{5, 24}, func(s []float32, r, c int64) float32 { return s[r/52*24+c/128] }},
	}
	var list []tensor
	for i, c := range cases {
		n, err := safetensors.SizeOf(safetensors.U8, c.shape)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list,
			tensor{name: c.name, dtype: safetensors.F8E4M3, shape: []int64{c.rows, c.cols}},
			tensor{name: c.name + "_scale", dtype: c.dtype, shape: c.shape, data: scales(c.dtype, int(n), uint64(i))})
	}
	dir := checkpoint(t, generic, list...)
	in := tensorsOf(t, folder(t, dir)["model.safetensors"])

	ck, p := planOf(t, dir, 0, dequantized)
	bf16 := everyWay(t, ck, p)
	ck, p = planOf(t, dir, 1<<20, quantized(plan.Quant{}))
	again := everyWay(t, ck, p)
	for _, c := range cases {
		s := floats(t, c.dtype, []byte(in[c.name+"_scale"]))
		var short, long []byte
		for i := range c.rows * c.cols {
			w := fp8.E4M3ToFloat32(in[c.name][i]) * c.at(s, i/c.cols, i%c.cols)
			short = encode(short, safetensors.BF16, float64(w))
			long = encode(long, safetensors.F32, float64(w))
		}
		if bf16[c.name] != string(short) {
			t.Errorf("%s: the BF16 form is not code times scale", c.name)
		}
		codes, scales := quantizedWhole(t, string(long), fp8.ElemF32, c.rows, c.cols, plan.Quant{})
		if again[c.name] != codes || again[c.name+"_scale_inv"] != scales {
			t.Errorf("%s: quantized again it is not what the kernel makes of code times scale", c.name)
		}
	}
}

// Kept tensors of any type come out as they went in, also where they are larger
// than a slab, have no elements, or no dimensions.
func TestCopies(t *testing.T) {
	steady(t)
	list := []tensor{
		{name: "scalar", dtype: safetensors.F32},
		{name: "empty", dtype: safetensors.BF16, shape: []int64{0}},
		{name: "empty.rows", dtype: safetensors.F64, shape: []int64{0, 128}},
		{name: "empty.cols", dtype: safetensors.I64, shape: []int64{128, 0, 3}},
		{name: "nibbles", dtype: safetensors.F4, shape: []int64{3, 250001 * 2}},
		{name: "six", dtype: safetensors.F6E2M3, shape: []int64{400004}},
		{name: "bytes", dtype: safetensors.U8, shape: []int64{700001}},
		{name: "pairs", dtype: safetensors.C64, shape: []int64{50, 701}},
	}
	for d := safetensors.Bool; d <= safetensors.U64; d++ {
		shape := []int64{3, 4, 44000 / d.Alignment()}
		list = append(list, tensor{name: "x." + strings.ToLower(d.String()), dtype: d, shape: shape})
	}
	dir := checkpoint(t, generic, list...)
	in := tensorsOf(t, folder(t, dir)["model.safetensors"])
	for _, shard := range []int64{0, 300 << 10} {
		ck, p := planOf(t, dir, shard, copied)
		got := everyWay(t, ck, p)
		for name, want := range in {
			if got[name] != want {
				t.Errorf("%s is not copied byte for byte", name)
			}
		}
	}
}

// Shards of tensors without elements are whole at once; matrices without
// elements have no tiles.
func TestNothingToDo(t *testing.T) {
	steady(t)
	one := scales(safetensors.F32, 1, 1)
	dir := checkpoint(
		t, generic,
		tensor{name: "a", dtype: safetensors.BF16, shape: []int64{0, 128}},
		tensor{name: "b", dtype: safetensors.BF16, shape: []int64{5, 0}},
		tensor{name: "c", dtype: safetensors.BF16, shape: []int64{0, 0}},
	)
	ck, p := planOf(t, dir, 1, quantized(plan.Quant{}))
	for name, data := range everyWay(t, ck, p) {
		if data != "" {
			t.Errorf("%s has %d bytes", name, len(data))
		}
	}
	dir = checkpoint(
		t, generic,
		tensor{name: "a", dtype: safetensors.F8E4M3, shape: []int64{0, 128}}, tensor{name: "a_scale", dtype: safetensors.F32, shape: []int64{0, 1}},
		tensor{name: "b", dtype: safetensors.F8E4M3, shape: []int64{5, 0}}, tensor{name: "b_scale", dtype: safetensors.F32, shape: []int64{1, 0}},
		tensor{name: "c", dtype: safetensors.F8E4M3, shape: []int64{5, 0}}, tensor{name: "c_scale", dtype: safetensors.F32, data: one},
	)
	for _, recipe := range []func(plan.Tensor, *plan.Tensor) []plan.Tensor{dequantized, quantized(plan.Quant{})} {
		ck, p = planOf(t, dir, 0, recipe)
		everyWay(t, ck, p)
	}
}

// Casts round as the kernel does; scales are widened exactly.
func TestCastAndWiden(t *testing.T) {
	steady(t)
	for _, d := range []safetensors.DType{safetensors.F16, safetensors.F32, safetensors.F64} {
		dir := checkpoint(t, generic, tensor{name: "w", dtype: d, shape: []int64{501, 601}}, tensor{name: "one", dtype: d}, tensor{name: "none", dtype: d, shape: []int64{0}})
		in := tensorsOf(t, folder(t, dir)["model.safetensors"])
		ck, p := planOf(t, dir, 0, turned(plan.Cast, safetensors.BF16))
		got := everyWay(t, ck, p)
		e := map[safetensors.DType]fp8.Elem{safetensors.F16: fp8.ElemF16, safetensors.F32: fp8.ElemF32, safetensors.F64: fp8.ElemF64}[d]
		for name := range in {
			want := make([]byte, len(in[name])/e.Size()*2)
			fp8.CastBF16(want, []byte(in[name]), e)
			if got[name] != string(want) {
				t.Errorf("%s %s: not what the kernel makes of the whole tensor", d, name)
			}
		}
	}
	for _, d := range []safetensors.DType{safetensors.F32, safetensors.BF16, safetensors.F16, safetensors.F8E8M0, safetensors.U8} {
		const rows, cols = 301, 401
		dir := checkpoint(t, generic, tensor{name: "s", dtype: d, shape: []int64{rows, cols}, data: scales(d, rows*cols, 3)})
		in := tensorsOf(t, folder(t, dir)["model.safetensors"])
		ck, p := planOf(t, dir, 0, turned(plan.Widen, safetensors.F32))
		var want []byte
		for _, x := range floats(t, d, []byte(in["s"])) {
			want = encode(want, safetensors.F32, float64(x))
		}
		if got := everyWay(t, ck, p); got["s"] != string(want) {
			t.Errorf("%s is not widened exactly", d)
		}
	}
}

// On a disk, with slabs of several megabytes that pass the page cache by where
// the system can do that, and with pages dropped behind the work.
func TestSameBytesOnDisk(t *testing.T) {
	dir := checkpoint(
		t, generic,
		tensor{name: "a", dtype: safetensors.BF16, shape: []int64{1500, 2050}},
		tensor{name: "b", dtype: safetensors.F32, shape: []int64{130, 20001}},
	)
	for _, recipe := range []recipe{copied, quantized(plan.Quant{})} {
		ck, p := planOf(t, dir, 0, recipe)
		want := convertTo(t, ck, p, filepath.Join(temp(t), "out"), quick)
		outputs(t, want)
		onDisk := filepath.Join(t.TempDir(), "in")
		restore(t, onDisk, folder(t, dir))
		ck, p = planOf(t, onDisk, 0, recipe)
		for _, drop := range []bool{false, true} {
			restore := func() {}
			if drop {
				restore = engine.DropAlways()
			}
			got := convertTo(t, ck, p, filepath.Join(t.TempDir(), "out"), nil)
			restore()
			sameFiles(t, fmt.Sprintf("dropped %v", drop), got, want)
		}
	}
}

// Pages are dropped behind the work when the job is large; here every job is.
func TestWindowLeavesNoTrace(t *testing.T) {
	steady(t)
	defer engine.DropAlways()()
	ck, p := mustOpen(t, tiny(), tinyShard)
	for _, workers := range []int{1, 4} {
		got := convertTo(t, ck, p, filepath.Join(t.TempDir(), "out"), func(o *engine.Options) {
			o.Workers, o.Memory = workers, 72<<20
			through(o, &faultfs.FS{})
		})
		sameFiles(t, "with a window", got, tinyClean())
	}
}
