package engine_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/convert/engine"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/internal/invalid"
)

type recipe = func(plan.Tensor, *plan.Tensor) []plan.Tensor

// checked is the recipe for copies of weights, which must be finite.
func checked(x plan.Tensor, _ *plan.Tensor) []plan.Tensor {
	x.Finite = true
	return []plan.Tensor{x}
}

// with puts values into random data, by index.
func with(d safetensors.DType, shape []int64, values map[int]float64) []byte {
	raw := random(d, shape, 1)
	size := int(d.Bits() / 8)
	for i, x := range values {
		copy(raw[i*size:], encode(nil, d, x))
	}
	return raw
}

// wantInvalid runs a plan that the input's data must stop and returns the message.
func wantInvalid(t *testing.T, dir string, r recipe) string {
	t.Helper()
	var said string
	for _, workers := range []int{1, 2} { // whichever chunk raises the alarm
		ck, p := planOf(t, dir, 0, r)
		_, err := start(ck, p, filepath.Join(temp(t), "out"), func(o *engine.Options) { quick(o); o.Workers, o.Memory = workers, engine.MinMemory(p) })
		if !errors.Is(err, invalid.Input) {
			t.Errorf("%v is not the input's fault", err)
			return ""
		}
		if workers > 1 && err.Error() != said {
			t.Errorf("%v, and with one worker: %s", err, said)
		}
		said = err.Error()
	}
	if !strings.Contains(said, `"model.safetensors"`) || strings.Contains(said, "\n") {
		t.Errorf("%s: the file is not named, or on another line", said)
	}
	return said
}

// NaN and infinite weights name tensor, count and the first place, whether they
// are quantized or kept and in whatever chunks they lie.
func TestNotFinite(t *testing.T) {
	const rows, cols = 400, 2001 // three chunks down and two across, with the smallest slabs
	shape := []int64{rows, cols}
	nan, inf := math.NaN(), math.Inf(1)
	first := 130*cols + 1900
	for _, d := range []safetensors.DType{safetensors.BF16, safetensors.F16, safetensors.F32, safetensors.F64} {
		values := map[int]float64{first: nan, first + 150*cols - 500: inf, rows*cols - 1: -inf}
		dir := checkpoint(t, generic, tensor{name: "fine", dtype: d, shape: shape}, tensor{name: "w", dtype: d, shape: shape, data: with(d, shape, values)})
		for what, r := range map[string]recipe{"quantized": quantized(plan.Quant{}), "kept": checked, "cast": turned(plan.Cast, safetensors.BF16)} {
			if what == "cast" && d == safetensors.BF16 {
				continue
			}
			said := wantInvalid(t, dir, r)
			for _, part := range []string{`tensor "w"`, "3 values are NaN", fmt.Sprintf("first at index %d (row 130, column 1900) of [400 2001]", first)} {
				if !strings.Contains(said, part) {
					t.Errorf("%s, %s: %s: it should say %s", d, what, said, part)
				}
			}
		}
		// Buffers and what no rule places may hold anything.
		ck, p := planOf(t, dir, 0, copied)
		convertTo(t, ck, p, filepath.Join(temp(t), "out"), quick)
	}
	// One value, a vector, a scalar.
	dir := checkpoint(t, generic, tensor{name: "v", dtype: safetensors.F32, shape: []int64{300}, data: with(safetensors.F32, []int64{300}, map[int]float64{299: nan})})
	if said := wantInvalid(t, dir, checked); !strings.Contains(said, "1 value is NaN or infinite, the first at index 299 of [300]") {
		t.Error(said)
	}
	dir = checkpoint(t, generic, tensor{name: "s", dtype: safetensors.BF16, data: []byte{0xc0, 0x7f}})
	if said := wantInvalid(t, dir, checked); !strings.Contains(said, "1 value is NaN or infinite, the first at index 0 of []") {
		t.Error(said)
	}
}

// Weights that the narrower type cannot hold.
func TestBeyondRange(t *testing.T) {
	shape := []int64{300, 700}
	dir := checkpoint(t, generic, tensor{name: "w", dtype: safetensors.F64, shape: shape, data: with(safetensors.F64, shape, map[int]float64{5: 1e39, 200000: -1e300})})
	for _, r := range []recipe{quantized(plan.Quant{}), turned(plan.Cast, safetensors.BF16)} {
		if said := wantInvalid(t, dir, r); !strings.Contains(said, "2 values are NaN, infinite or beyond float32's range, the first at index 5 ") {
			t.Error(said)
		}
	}
	top := float64(math.MaxFloat32) // beyond BF16, which has its exponents but not its bits
	dir = checkpoint(t, generic, tensor{name: "w", dtype: safetensors.F32, shape: shape, data: with(safetensors.F32, shape, map[int]float64{9: top, 100000: -top, 209999: top})})
	if said := wantInvalid(t, dir, turned(plan.Cast, safetensors.BF16)); !strings.Contains(said, "3 values are beyond BF16's range, the first at index 9 (row 0, column 9)") {
		t.Error(said)
	}
	// As codes they are fine.
	ck, p := planOf(t, dir, 0, quantized(plan.Quant{}))
	convertTo(t, ck, p, filepath.Join(temp(t), "out"), quick)
}

// NaN codes are refused wherever codes are read.
func TestNaNCodes(t *testing.T) {
	shape := []int64{300, 1500}
	raw := random(safetensors.F8E4M3, shape, 1)
	raw[1400], raw[449999] = 0x7f, 0xff
	dir := checkpoint(t, generic, tensor{name: "w", dtype: safetensors.F8E4M3, shape: shape, data: raw}, tensor{name: "w_scale", dtype: safetensors.F32, shape: []int64{3, 12}, data: scales(safetensors.F32, 36, 1)})
	for what, r := range map[string]recipe{"kept": checked, "dequantized": dequantized, "quantized again": quantized(plan.Quant{})} {
		if said := wantInvalid(t, dir, r); !strings.Contains(said, `tensor "w": 2 codes are NaN, the first at index 1400 (row 0, column 1400) of [300 1500]`) {
			t.Errorf("%s: %s", what, said)
		}
	}
}

// Scales that are none name their tensor, value and index.
func TestBadScales(t *testing.T) {
	shape := []int64{300, 1500}
	for _, c := range []struct {
		dtype safetensors.DType
		value float64
		says  string
	}{
		{safetensors.F32, 0, "scale 0 at index 25"},
		{safetensors.F32, math.Copysign(0, -1), "at index 25"},
		{safetensors.F32, -0.5, "scale -0.5 at index 25"},
		{safetensors.F32, math.NaN(), "scale NaN at index 25"},
		{safetensors.F32, math.Inf(1), "scale +Inf at index 25"},
		{safetensors.BF16, math.Inf(-1), "scale -Inf at index 25"},
		{safetensors.F16, -1, "scale -1 at index 25"},
		{safetensors.F8E8M0, 255, "scale NaN at index 25"},
		{safetensors.U8, 255, "scale NaN at index 25"},
	} {
		raw := scales(c.dtype, 36, 1)
		size := int(c.dtype.Bits() / 8)
		if size == 1 {
			raw[25] = byte(c.value)
		} else {
			copy(raw[25*size:], encode(nil, c.dtype, c.value))
		}
		dir := checkpoint(t, generic, tensor{name: "w", dtype: safetensors.F8E4M3, shape: shape}, tensor{name: "w_scale", dtype: c.dtype, shape: []int64{3, 12}, data: raw})
		for _, r := range []recipe{dequantized, quantized(plan.Quant{})} {
			if said := wantInvalid(t, dir, r); !strings.Contains(said, `tensor "w_scale"`) || !strings.Contains(said, c.says) {
				t.Errorf("%s %v: %s", c.dtype, c.value, said)
			}
		}
		dir = checkpoint(t, generic, tensor{name: "s", dtype: c.dtype, shape: []int64{36}, data: raw})
		if said := wantInvalid(t, dir, turned(plan.Widen, safetensors.F32)); !strings.Contains(said, `tensor "s"`) || !strings.Contains(said, c.says) {
			t.Errorf("widening %s %v: %s", c.dtype, c.value, said)
		}
	}
	// The least and the greatest that there are.
	raw := encode(encode(nil, safetensors.F32, math.SmallestNonzeroFloat32), safetensors.F32, math.MaxFloat32)
	dir := checkpoint(t, generic, tensor{name: "s", dtype: safetensors.F32, shape: []int64{2}, data: raw})
	ck, p := planOf(t, dir, 0, turned(plan.Widen, safetensors.F32))
	if got := outputs(t, convertTo(t, ck, p, filepath.Join(temp(t), "out"), quick)); got["s"] != string(raw) {
		t.Errorf("% x", got["s"])
	}
}

// A code times a scale that is absurd but finite must not become an infinite
// weight in silence.
func TestProductBeyondRange(t *testing.T) {
	shape := []int64{200, 1500}
	codes := make([]byte, 200*1500)
	codes[180*1500+1400] = 0x7e // 448
	for _, c := range []struct {
		scale float64
		fits  bool
	}{{7.5e35, true}, {7.6e35, false}, {3e38, false}} {
		raw := scales(safetensors.F32, 24, 1)
		copy(raw[4*22:], encode(nil, safetensors.F32, c.scale))
		dir := checkpoint(t, generic, tensor{name: "w", dtype: safetensors.F8E4M3, shape: shape, data: codes}, tensor{name: "w_scale", dtype: safetensors.F32, shape: []int64{2, 12}, data: raw})
		if c.fits {
			ck, p := planOf(t, dir, 0, dequantized)
			convertTo(t, ck, p, filepath.Join(temp(t), "out"), quick)
			continue
		}
		if said := wantInvalid(t, dir, dequantized); !strings.Contains(said, `tensor "w"`) || !strings.Contains(said, "row 180, column 1400") {
			t.Errorf("%g: %s", c.scale, said)
		}
	}
	// In float32 3e38 × 448 is infinite: it cannot be quantized again either.
	raw := scales(safetensors.F32, 24, 1)
	copy(raw[4*22:], encode(nil, safetensors.F32, 3e38))
	dir := checkpoint(t, generic, tensor{name: "w", dtype: safetensors.F8E4M3, shape: shape, data: codes}, tensor{name: "w_scale", dtype: safetensors.F32, shape: []int64{2, 12}, data: raw})
	if said := wantInvalid(t, dir, quantized(plan.Quant{})); !strings.Contains(said, `tensor "w"`) {
		t.Error(said)
	}
}

// A NaN late in the input keeps the shards before it and the state. When the
// file is repaired, its header unchanged, the run goes on.
func TestRunGoesOnAfterRepair(t *testing.T) {
	steady(t)
	in := filepath.Join(temp(t), "in")
	restore(t, in, folder(t, tiny()))
	ck, p := mustOpen(t, in, tinyShard)
	// The last weight that is quantized, in the last shard.
	var bad *plan.Tensor
	for _, i := range p.Shards[len(p.Shards)-1].Tensors {
		if x := &p.Tensors[i]; x.Op == plan.Quantize && (bad == nil || x.Source.Offset > bad.Source.Offset) {
			bad = x
		}
	}
	f := ck.Files[bad.Source.File]
	at := p.Input.Files[bad.Source.File].Data + bad.Source.Offset
	good := poke(t, f.Path, at, []byte{0xc0, 0x7f})

	ck, p = mustOpen(t, in, tinyShard)
	out := filepath.Join(temp(t), "out")
	for range 2 { // it fails as often as it is tried, and loses nothing
		_, err := start(ck, p, out, quick)
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), bad.Name) || !strings.Contains(err.Error(), f.Name) || !strings.Contains(err.Error(), "index 0 (row 0, column 0)") {
			t.Fatalf("%v", err)
		}
		files := folder(t, out)
		onlyFinished(t, "stopped by a NaN", files, tinyClean())
		if files[engine.StateName] == "" || shardsIn(files) == 0 {
			t.Errorf("what was finished is gone: %v", names(files))
		}
	}
	poke(t, f.Path, at, good)
	ck, p = mustOpen(t, in, tinyShard)
	r, err := start(ck, p, out, quick)
	if err != nil || r.Resumed == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	sameFiles(t, "repaired", folder(t, out), tinyClean())
}

// poke writes into a file and returns what was there.
func poke(t testing.TB, path string, at int64, data []byte) []byte {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old := make([]byte, len(data))
	if _, err := f.ReadAt(old, at); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(data, at); err != nil {
		t.Fatal(err)
	}
	return old
}

// An op that the engine does not know is an error, not a tensor of zeros.
func TestUnknownOp(t *testing.T) {
	dir := checkpoint(t, generic, tensor{name: "w", dtype: safetensors.BF16, shape: []int64{3}})
	ck, p := planOf(t, dir, 0, turned(99, safetensors.BF16))
	if _, err := start(ck, p, filepath.Join(temp(t), "out"), quick); err == nil || !strings.Contains(err.Error(), `"w"`) {
		t.Errorf("%v", err)
	}
}

// The input is cut, touched, replaced or gone between plan and run: noticed
// before anything is made.
func TestInputChangesBeforeTheRun(t *testing.T) {
	steady(t)
	for what, change := range map[string]func(path string) error{
		"cut":      func(p string) error { return os.Truncate(p, 3000) },
		"grown":    func(p string) error { return os.Truncate(p, 1<<20) },
		"touched":  func(p string) error { return chtimes(p, 1) },
		"replaced": replace,
		"removed":  os.Remove,
		"emptied":  func(p string) error { return os.Truncate(p, 0) },
	} {
		in := filepath.Join(temp(t), "in")
		restore(t, in, folder(t, tiny()))
		ck, p := mustOpen(t, in, tinyShard)
		last := ck.Files[len(ck.Files)-1]
		if err := change(last.Path); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(temp(t), "out")
		_, err := start(ck, p, out, quick)
		if err == nil || !strings.Contains(err.Error(), last.Name) {
			t.Errorf("%s: %v", what, err)
		}
		if !errors.Is(err, invalid.Input) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v is not the input's fault", what, err)
		}
		if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the folder was made", what)
		}
	}
}

// replace puts another header of the same length into a file, whose size and
// time stay.
func replace(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	raw = []byte(strings.Replace(string(raw), `"format":"pt"`, `"format":"tp"`, 1))
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		return err
	}
	return os.Chtimes(path, st.ModTime(), st.ModTime())
}

// Side files that are not as they were planned are noticed too.
func TestSideFileChanges(t *testing.T) {
	for what, change := range map[string]func(path string) error{
		"cut":     func(p string) error { return os.Truncate(p, 1) },
		"grown":   func(p string) error { return os.Truncate(p, 100) },
		"removed": os.Remove,
	} {
		in := filepath.Join(temp(t), "in")
		restore(t, in, folder(t, tiny()))
		ck, err := hf.Open(in)
		if err != nil {
			t.Fatal(err)
		}
		_, p := mustOpen(t, in, tinyShard)
		if err := change(filepath.Join(in, "encoding", "dsv.py")); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(temp(t), "out")
		_, err = start(ck, p, out, quick)
		if err == nil || !strings.Contains(err.Error(), "dsv.py") || !errors.Is(err, invalid.Input) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(filepath.Join(out, "quern-manifest.json")); err == nil {
			t.Errorf("%s: there is a manifest", what)
		}
	}
}
