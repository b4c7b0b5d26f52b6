package outputs

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"quern/formats/safetensors"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
)

const (
	i64  = safetensors.I64
	i32  = safetensors.I32
	f32  = safetensors.F32
	bf16 = safetensors.BF16
	f16  = safetensors.F16
)

// All forms that one text can have say the same.
func TestOpenForms(t *testing.T) {
	logits := count(4 * 3)
	for name, list := range map[string][]data{
		"flat":            {{"input_ids", i64, []int64{4}, count(3)}, {"logits", f32, []int64{4, 3}, logits}, {"mtp_logits", f32, []int64{3, 3}, logits}},
		"batch of one":    {{"input_ids", i32, []int64{1, 4}, count(3)}, {"logits", bf16, []int64{1, 4, 3}, logits}, {"mtp_logits", bf16, []int64{1, 3, 3}, logits}},
		"leading ones":    {{"input_ids", i64, []int64{4}, count(3)}, {"logits", f16, []int64{1, 4, 3}, logits}, {"mtp_logits", f16, []int64{1, 4, 3}, logits}},
		"without leading": {{"input_ids", i64, []int64{1, 4}, count(3)}, {"logits", f32, []int64{4, 3}, logits}, {"mtp_logits", f32, []int64{4, 3}, logits}},
		"offsets of one":  {{"input_ids", i64, []int64{4}, count(3)}, {"offsets", i32, []int64{2}, []float64{0, 4}}, {"logits", f32, []int64{4, 3}, logits}, {"mtp_logits", f32, []int64{3, 3}, logits}},
	} {
		f := mustOpen(t, save(t, list...))
		if !reflect.DeepEqual(f.IDs, [][]int{{0, 1, 2, 0}}) || f.Vocab != 3 || !f.HasMTP || f.Hidden != nil || f.Routers != nil || f.Ignored != nil || f.Metadata["producer"] != "test" {
			t.Errorf("%s: %+v", name, f)
		}
		all, part, mtp := make([]float32, 12), make([]float32, 4), make([]float32, 9)
		if err := errors.Join(f.Logits(all, 0, 0, 4), f.LogitsTile(part, 0, 1, 2, 1, 2), f.MTPLogits(mtp, 0, 0, 3)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i := range all {
			if all[i] != float32(i) {
				t.Errorf("%s: logits %v", name, all)
				break
			}
		}
		if !slices.Equal(part, []float32{4, 5, 7, 8}) || !slices.Equal(mtp, all[:9]) {
			t.Errorf("%s: part %v, MTP %v", name, part, mtp)
		}
	}
}

// Two sequences, in a batch and of different lengths, with all that a file can hold.
func TestOpenSequences(t *testing.T) {
	batch := mustOpen(t, save(t,
		data{"input_ids", i64, []int64{2, 3}, []float64{1, 0, 1, 0, 1, 0}},
		data{"logits", f32, []int64{2, 3, 2}, count(12)},
		data{"mtp_logits", f32, []int64{2, 2, 2}, count(8)},
		data{"hidden.10", f32, []int64{2, 3, 1}, count(6)},
		data{"hidden.2", bf16, []int64{2, 3, 2}, count(12)},
		data{"router.5.indices", i64, []int64{2, 2, 1}, count(4)},
		data{"router.0.indices", i32, []int64{2, 3, 2}, count(12)},
		data{"hidden.01", f32, []int64{7}, nil},
		data{"router.1.weights", f32, []int64{7}, nil},
		data{"z", f32, []int64{0}, nil},
	))
	flat := mustOpen(t, save(t,
		data{"input_ids", i32, []int64{6}, []float64{1, 0, 1, 0, 1, 0}},
		data{"offsets", i64, []int64{4}, []float64{0, 3, 4, 6}},
		data{"logits", f32, []int64{6, 2}, count(12)},
		data{"mtp_logits", f32, []int64{3, 2}, count(6)},
		data{"router.5.indices", i64, []int64{3, 1}, count(4)},
	))
	if !reflect.DeepEqual(batch.IDs, [][]int{{1, 0, 1}, {0, 1, 0}}) || !slices.Equal(batch.Hidden, []int{2, 10}) || !slices.Equal(batch.Routers, []int{0, 5}) ||
		!slices.Equal(batch.Ignored, []string{"hidden.01", "router.1.weights", "z"}) || batch.HiddenWidth(10) != 1 || batch.HiddenWidth(2) != 2 || batch.HiddenWidth(1) != 0 {
		t.Errorf("%+v", batch)
	}
	if !reflect.DeepEqual(flat.IDs, [][]int{{1, 0, 1}, {0}, {1, 0}}) {
		t.Errorf("%+v", flat)
	}
	floats := func(read func(dst []float32) error, n int) []float32 {
		t.Helper()
		dst := make([]float32, n)
		if err := read(dst); err != nil {
			t.Error(err)
		}
		return dst
	}
	for what, c := range map[string]struct{ got, want []float32 }{
		"batch, logits":     {floats(func(d []float32) error { return batch.Logits(d, 1, 1, 2) }, 4), []float32{8, 9, 10, 11}},
		"batch, MTP":        {floats(func(d []float32) error { return batch.MTPLogits(d, 1, 1, 1) }, 2), []float32{6, 7}},
		"batch, MTP tile":   {floats(func(d []float32) error { return batch.MTPLogitsTile(d, 1, 0, 2, 1, 1) }, 2), []float32{5, 7}},
		"batch, hidden":     {floats(func(d []float32) error { return batch.HiddenRows(2, d, 1, 0, 2) }, 4), []float32{6, 7, 8, 9}},
		"flat, logits":      {floats(func(d []float32) error { return flat.Logits(d, 2, 0, 2) }, 4), []float32{8, 9, 10, 11}},
		"flat, MTP":         {floats(func(d []float32) error { return flat.MTPLogits(d, 2, 0, 1) }, 2), []float32{4, 5}},
		"flat, no MTP rows": {floats(func(d []float32) error { return flat.MTPLogits(d, 1, 0, 0) }, 0), nil},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
	for _, f := range []*File{batch, flat} {
		if indices, k, err := f.Router(5); err != nil || k != 1 || !slices.Equal(indices, []int32{0, 1, 2, 3}[:len(indices)]) || len(indices) != 8-len(f.IDs)*2+len(f.IDs)/3 {
			t.Errorf("router: %v, %d, %v", indices, k, err)
		}
	}
	if indices, k, err := batch.Router(0); err != nil || k != 2 || len(indices) != 12 || indices[11] != 11 {
		t.Errorf("router: %v, %d, %v", indices, k, err)
	}
}

// What the caller asks for in vain.
func TestReadsOutside(t *testing.T) {
	f := mustOpen(t, save(t,
		data{"input_ids", i64, []int64{3}, nil}, data{"logits", f32, []int64{3, 2}, nil}, data{"mtp_logits", f32, []int64{3, 2}, nil},
		data{"router.0.indices", i64, []int64{3, 1}, []float64{0, -1, 0}}, data{"router.1.indices", i64, []int64{3, 1}, []float64{0, 0, 1 << 31}},
	))
	six := make([]float32, 6)
	for want, err := range map[string]error{
		`tensor "logits" has no rows 1…3 of sequence 0`:     f.Logits(six, 0, 1, 3),
		`tensor "logits" has no rows -1…1 of sequence 0`:    f.Logits(six, 0, -1, 3),
		`tensor "logits" has no rows 0…2 of sequence 1`:     f.Logits(six, 1, 0, 3),
		`tensor "logits" has no rows 0…-2 of sequence 0`:    f.Logits(six, 0, 0, -1),
		`tensor "mtp_logits" has no rows 0…2 of sequence 0`: f.MTPLogits(six, 0, 0, 3),
		`columns 1…2 of 2`:                            f.LogitsTile(six, 0, 0, 3, 1, 2),
		`columns 0…1 of 2, into 6 numbers for 2 rows`: f.Logits(six, 0, 0, 2),
		`no such tensor`:                              f.HiddenRows(0, six, 0, 0, 1),
		`no router.7.indices`:                         routerError(f, 7),
		`row 1 has an expert`:                         routerError(f, 0),
		`"router.1.indices": row 2 has an `:           routerError(f, 1),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := routerError(f, 1); !errors.Is(err, invalid.Input) {
		t.Errorf("%v does not blame the file", err)
	}
}

func routerError(f *File, l int) error {
	_, _, err := f.Router(l)
	return err
}

func TestOpenRefuses(t *testing.T) {
	ids := data{"input_ids", i64, []int64{4}, count(3)}
	logits := data{"logits", f32, []int64{4, 3}, nil}
	with := func(list ...data) []data { return append([]data{ids, logits}, list...) }
	for _, c := range []struct {
		want string
		list []data
	}{
		{`tensor "input_ids" is missing`, []data{logits}},
		{`tensor "input_ids" is missing`, nil},
		{`tensor "logits" is missing`, []data{ids}},
		{`tensor "input_ids": shape [0]: no tokens`, []data{{"input_ids", i64, []int64{0}, nil}, {"logits", f32, []int64{0, 3}, nil}}},
		{`tensor "input_ids": shape [3 0]: no tokens`, []data{{"input_ids", i64, []int64{3, 0}, nil}, logits}},
		{`tensor "input_ids": shape [], want`, []data{{"input_ids", i64, nil, nil}, logits}},
		{`tensor "input_ids": shape [1 1 4], want`, []data{{"input_ids", i64, []int64{1, 1, 4}, nil}, logits}},
		{`tensor "input_ids": dtype F32, want one of [I64 I32]`, []data{{"input_ids", f32, []int64{4}, nil}, logits}},
		{`tensor "logits": dtype F64, want one of [F32 BF16 F16]`, []data{ids, {"logits", safetensors.F64, []int64{4, 3}, nil}}},
		{`tensor "logits": shape [3 3]`, []data{ids, {"logits", f32, []int64{3, 3}, nil}}},
		{`tensor "logits": shape [4]`, []data{ids, {"logits", f32, []int64{4}, nil}}},
		{`tensor "logits": shape []`, []data{ids, {"logits", f32, nil, nil}}},
		{`tensor "logits": shape [4 0]`, []data{ids, {"logits", f32, []int64{4, 0}, nil}}},
		{`tensor "logits": shape [2 2 3]`, []data{ids, {"logits", f32, []int64{2, 2, 3}, nil}}},
		{`tensor "logits": shape [4 3], which does not fit the [2 2] of input_ids`, []data{{"input_ids", i64, []int64{2, 2}, nil}, logits}},
		{`tensor "logits": shape [1 4 3], which does not fit the [2 2]`, []data{{"input_ids", i64, []int64{2, 2}, nil}, {"logits", f32, []int64{1, 4, 3}, nil}}},
		{`tensor "input_ids": sequence 0, position 2: id 3 is not one of 0…2`, []data{{"input_ids", i64, []int64{4}, []float64{0, 1, 3, 0}}, logits}},
		{`tensor "input_ids": sequence 0, position 1: id -1 is`, []data{{"input_ids", i32, []int64{4}, []float64{0, -1, 3, 0}}, logits}},
		{`tensor "input_ids": sequence 1, position 0: id 9`, []data{{"input_ids", i32, []int64{2, 2}, []float64{0, 1, 9, 0}}, {"logits", f32, []int64{2, 2, 3}, nil}}},
		{`tensor "mtp_logits": shape [2 3]`, with(data{"mtp_logits", f32, []int64{2, 3}, nil})},
		{`tensor "mtp_logits": 4 logits a row, "logits" has 3`, with(data{"mtp_logits", f32, []int64{3, 4}, nil})},
		{`tensor "hidden.7": shape [3 8]`, with(data{"hidden.7", f32, []int64{3, 8}, nil})},
		{`tensor "hidden.7": dtype I64`, with(data{"hidden.7", i64, []int64{4, 8}, nil})},
		{`tensor "router.0.indices": dtype F32`, with(data{"router.0.indices", f32, []int64{4, 8}, nil})},
		{`tensor "router.0.indices": shape [4 0]`, with(data{"router.0.indices", i64, []int64{4, 0}, nil})},
		{`tensor "offsets": dtype F32`, with(data{"offsets", f32, []int64{2}, nil})},
		{`tensor "offsets": shape [1]`, with(data{"offsets", i64, []int64{1}, nil})},
		{`tensor "offsets": shape [6]`, with(data{"offsets", i64, []int64{6}, nil})},
		{`tensor "offsets": shape [2 2]`, with(data{"offsets", i64, []int64{2, 2}, nil})},
		{`tensor "offsets": begins with 1`, with(data{"offsets", i64, []int64{2}, []float64{1, 4}})},
		{`tensor "offsets": ends with 3, input_ids has 4`, with(data{"offsets", i64, []int64{2}, []float64{0, 3}})},
		{`tensor "offsets": 2 at index 2, after 2: every sequence`, with(data{"offsets", i64, []int64{4}, []float64{0, 2, 2, 4}})},
		{`tensor "offsets": 1 at index 2, after 9`, with(data{"offsets", i64, []int64{4}, []float64{0, 9, 1, 4}})},
		{`tensor "offsets": input_ids has shape [2 2]`, []data{{"input_ids", i64, []int64{2, 2}, nil}, {"logits", f32, []int64{2, 2, 3}, nil}, {"offsets", i64, []int64{3}, []float64{0, 2, 4}}}},
		{`tensor "mtp_logits": shape [3 3], which does not fit the [4] of input_ids in 2 sequences`, with(data{"offsets", i64, []int64{3}, []float64{0, 2, 4}}, data{"mtp_logits", f32, []int64{3, 3}, nil})},
	} {
		path := save(t, c.list...)
		_, err := Open(path)
		refused(t, c.want, err, "reading "+fmt.Sprintf("%q: ", path), c.want)
	}

	dir := t.TempDir()
	_, err := Open(filepath.Join(dir, "none"))
	refused(t, "no file", err, "no such file")
	_, err = Open(dir)
	refused(t, "a folder", err, "not a regular file")
	cut := filepath.Join(dir, "cut")
	whole := build(t, ids, logits)
	for n := range whole {
		if err := os.WriteFile(cut, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(cut)
		refused(t, fmt.Sprint(n, " bytes"), err, cut)
	}
}

// A disk that fails is not the file's fault; a file that shrinks is.
func TestReadErrors(t *testing.T) {
	path := save(t, data{"input_ids", i64, []int64{4}, count(3)}, data{"logits", f32, []int64{4, 3}, nil})
	clean := &faultfs.FS{}
	f, err := openOn(clean, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Logits(make([]float32, 12), 0, 0, 4); err != nil {
		t.Fatal(err)
	}
	f.Close()
	reads := 0
	for _, bad := range clean.Calls() {
		if bad.Kind == faultfs.Close {
			continue
		}
		reads++
		fsys := &faultfs.FS{Hook: func(c faultfs.Call) *faultfs.Fault {
			if c.Kind == bad.Kind && c.N == bad.N {
				return &faultfs.Fault{Err: syscall.EIO}
			}
			return nil
		}}
		f, err := openOn(fsys, path)
		if err == nil {
			err = f.Logits(make([]float32, 12), 0, 0, 4)
			f.Close()
		}
		if !errors.Is(err, syscall.EIO) || errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s %d: %v", bad.Kind, bad.N, err)
		}
		if n := fsys.OpenFiles(); n != 0 {
			t.Errorf("%s %d: %d files are open", bad.Kind, bad.N, n)
		}
	}
	if reads < 5 {
		t.Errorf("%d calls", reads)
	}
	g := mustOpen(t, path)
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	refused(t, "truncated", g.Logits(make([]float32, 12), 0, 0, 4), path, `tensor "logits"`, "shorter")
}

// A row longer than a piece.
func TestLongRows(t *testing.T) {
	const vocab = pieceElements + 17
	c := &content{spec: Spec{IDs: [][]int{{1, vocab - 1}}, Vocab: vocab}}
	c.logits = [][]float32{make([]float32, 2*vocab)}
	for i := range c.logits[0] {
		c.logits[0][i] = float32(math.Sin(float64(i)))
	}
	path := filepath.Join(t.TempDir(), "long")
	w, err := Create(path, c.spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Logits(0, 0, 0, vocab, c.logits[0]), w.Close()); err != nil {
		t.Fatal(err)
	}
	f := mustOpen(t, path)
	got := make([]float32, 2*vocab)
	if err := f.Logits(got, 0, 0, 2); err != nil || !slices.Equal(got, c.logits[0]) {
		t.Errorf("rows differ, %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	ids := data{"input_ids", i64, []int64{4}, count(3)}
	logits := data{"logits", f32, []int64{4, 3}, count(12)}
	for _, list := range [][]data{
		{ids, logits},
		{ids, logits, {"offsets", i32, []int64{3}, []float64{0, 1, 4}}, {"mtp_logits", f16, []int64{2, 3}, nil}, {"router.0.indices", i32, []int64{2, 2}, []float64{0, 1, 1, 0}}},
		{{"input_ids", i32, []int64{2, 2}, nil}, {"logits", bf16, []int64{2, 2, 3}, nil}, {"mtp_logits", bf16, []int64{2, 1, 3}, nil}, {"hidden.0", f16, []int64{2, 2, 5}, nil}},
		{{"input_ids", i64, []int64{1, 4}, nil}, {"logits", f32, []int64{1, 4, 1}, nil}, {"router.9.indices", i64, []int64{1, 4, 1}, nil}},
	} {
		f.Add(build(f, list...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := open("memory", inMemory(raw))
		if err != nil {
			if !errors.Is(err, invalid.Input) {
				t.Fatal(err)
			}
			return
		}
		everything(t, x)
	})
}

// FuzzShapes builds files whose headers are sound, and whose shapes, types and
// numbers are anything.
func FuzzShapes(f *testing.F) {
	f.Add([]byte{1, 4, 0, 2, 4, 3, 2, 3, 3, 0, 0, 1, 2, 0}, uint16(0x000))
	f.Add([]byte{2, 2, 2, 3, 2, 2, 3, 3, 2, 1, 3, 0, 1, 1, 0, 1, 2}, uint16(0x125))
	f.Add([]byte{1, 4, 2, 4, 3, 2, 2, 3, 1, 3, 0, 1, 4}, uint16(0x0f9))
	f.Fuzz(func(t *testing.T, raw []byte, types uint16) {
		next := func() int64 {
			if len(raw) == 0 {
				return 1
			}
			b := raw[0]
			raw = raw[1:]
			return int64(int8(b))
		}
		dtypes := []safetensors.DType{i64, i32, f32, bf16, f16, safetensors.F64, i64, f32}
		var list []data
		for i, name := range []string{"input_ids", "logits", "mtp_logits", "hidden.3", "router.1.indices", "offsets"} {
			if i > 1 && types>>(10+i)&1 == 1 {
				continue
			}
			d := data{name: name, dtype: []safetensors.DType{i64, f32, f32, f32, i32, i64}[i]}
			if types>>(2*i)&3 == 3 {
				d.dtype = dtypes[next()&7]
			}
			for range next() & 3 {
				d.shape = append(d.shape, next()&7)
			}
			n := int64(1)
			for _, k := range d.shape {
				n *= k
			}
			for range n {
				d.values = append(d.values, float64(next()&15))
			}
			list = append(list, d)
		}
		x, err := open("memory", inMemory(build(t, list...)))
		if err != nil {
			if !errors.Is(err, invalid.Input) {
				t.Fatal(err)
			}
			return
		}
		everything(t, x)
	})
}

// everything reads all of a file that was accepted, and compares it with itself.
func everything(t *testing.T, f *File) {
	t.Helper()
	for s, ids := range f.IDs {
		n := len(ids)
		if n == 0 || slices.Min(ids) < 0 || slices.Max(ids) >= f.Vocab {
			t.Fatalf("ids %v of %d", ids, f.Vocab)
		}
		if err := f.Logits(make([]float32, n*f.Vocab), s, 0, n); err != nil {
			t.Fatal(err)
		}
		if f.HasMTP {
			if err := f.MTPLogits(make([]float32, (n-1)*f.Vocab), s, 0, n-1); err != nil {
				t.Fatal(err)
			}
		}
		for _, i := range f.Hidden {
			if err := f.HiddenRows(i, make([]float32, n*f.HiddenWidth(i)), s, 0, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, l := range f.Routers {
		if _, _, err := f.Router(l); err != nil && !errors.Is(err, invalid.Input) {
			t.Fatal(err)
		}
	}
	c, err := Compare(t.Context(), f, f, Options{Workers: 1, Worst: 3})
	if err != nil {
		if !errors.Is(err, invalid.Input) {
			t.Fatal(err)
		}
		return
	}
	if c.Metrics.KLDMax > 0 || c.Reference.MaxAbsLogitDiff != 0 || len(c.Unpaired) != 0 {
		t.Fatalf("a file differs from itself: %+v", c)
	}
}
