package file_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"quern/calibrate/file"
	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// entry makes a tensor of numbers.
func entry(name string, shape []int64, numbers any) file.Entry {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, numbers); err != nil {
		panic(err)
	}
	d := map[string]safetensors.DType{"[]float32": safetensors.F32, "[]float64": safetensors.F64, "[]int64": safetensors.I64, "[]int32": safetensors.I32}[reflect.TypeOf(numbers).String()]
	return file.Entry{Name: name, DType: d, Shape: shape, Data: func(w io.Writer) error {
		_, err := w.Write(b.Bytes())
		return err
	}}
}

func info() *file.Info {
	return &file.Info{
		Tool: "test 1", Model: "m-1x2-00", Experts: 3, MTPLayers: []int{1},
		Texts: []file.Text{
			{Name: "a", Digest: "00", Tokens: 4, Sequences: 2, Longest: 2}, {Name: "b", Digest: "01", Tokens: 3, Sequences: 1, Longest: 3},
		},
		Options: file.Options{Sketches: true, Pairs: true, TextLoads: true},
	}
}

// good are the tensors of a small file: 7 tokens.
func good() []file.Entry {
	var out []file.Entry
	for _, m := range []string{"model.layers.0.mlp.up_proj", "model.layers.1.eh_proj"} {
		out = append(out,
			entry(m+".input_amax", nil, []float32{3}), entry(m+".input_count", nil, []int64{7}),
			entry(m+".input_sq_sum", []int64{2}, []float64{7, 3.5}),
			entry(m+".input_sketch", []int64{3}, []int64{5, 0, 9}), entry(m+".input_group_sketch", []int64{1}, []int64{7}),
		)
	}
	for _, l := range []string{"model.layers.0", "model.layers.1"} {
		out = append(out,
			entry(l+".expert_load", []int64{3}, []int64{7, 0, 2}), entry(l+".expert_weight_sum", []int64{3}, []float64{1.5, 0, 0.25}),
			entry(l+".expert_pairs_sparse", []int64{1, 3}, []int64{0, 2, 2}),
			entry(l+".expert_load_by_text", []int64{2, 3}, []int64{4, 0, 2, 3, 0, 0}),
		)
	}
	return append(out, entry("model.layers.0.self_attn.k_amax", nil, []float32{2}), entry("model.layers.0.self_attn.v_amax", nil, []float32{1}),
		entry("model.layers.1.self_attn.kv_latent_amax", nil, []float32{5}))
}

func write(t testing.TB, i *file.Info, entries []file.Entry) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.safetensors")
	if _, err := file.Write(nil, path, i, entries); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	digest, err := file.Write(nil, path, info(), good())
	if err != nil {
		t.Fatal(err)
	}
	f, err := file.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Digest() != digest || f.Identity() != "m-1x2-00" || !reflect.DeepEqual(f.Info(), *info()) || f.Info().Tokens() != 7 {
		t.Errorf("%x %+v", f.Digest(), f.Info())
	}
	const m = "model.layers.0.mlp.up_proj"
	amax, ok := f.InputAmax(m)
	mean, _ := f.MeanSquares(m)
	sums, _ := f.Squares(m)
	if amax != 3 || !ok || f.Count(m) != 7 || f.Channels(m) != 2 || !reflect.DeepEqual(mean, []float32{1, 0.5}) || !reflect.DeepEqual(sums, []float64{7, 3.5}) {
		t.Error(amax, ok, f.Count(m), mean, sums)
	}
	if s, ok := f.Sketch(m, false); !ok || s.Quantile(1) < 2.9 || len(s.Counts) != 3 {
		t.Error(s, ok)
	}
	if s, ok := f.Sketch(m, true); !ok || len(s.Counts) != 1 {
		t.Error(s, ok)
	}
	if x, ok := f.CacheAmax("model.layers.1.self_attn", "kv_latent"); x != 5 || !ok {
		t.Error(x, ok)
	}
	if len(f.Modules()) != 2 || len(f.Caches()) != 3 || !reflect.DeepEqual(f.Layers(), []int{0, 1}) {
		t.Error(f.Modules(), f.Caches(), f.Layers())
	}
	if !reflect.DeepEqual(f.Load(0), []int64{7, 0, 2}) || !reflect.DeepEqual(f.WeightSum(1), []float64{1.5, 0, 0.25}) ||
		!reflect.DeepEqual(f.Pairs(1), [][3]int64{{0, 2, 2}}) || !reflect.DeepEqual(f.TextLoads(0), [][]int64{{4, 0, 2}, {3, 0, 0}}) {
		t.Error(f.Load(0), f.WeightSum(1), f.Pairs(1), f.TextLoads(0))
	}
	// What is not there is said so.
	if _, ok := f.InputAmax("x"); ok {
		t.Error("an amax of nothing")
	}
	if _, ok := f.MeanSquares("x"); ok || f.Count("x") != 0 || f.Load(7) != nil || f.WeightSum(7) != nil || f.Pairs(7) != nil || f.TextLoads(7) != nil {
		t.Error("something of nothing")
	}
	if _, ok := f.Sketch("x", true); ok {
		t.Error("a sketch of nothing")
	}
	if _, ok := f.CacheAmax("model.layers.1.self_attn", "v"); ok || f.Err() != nil {
		t.Error("a cache of nothing", f.Err())
	}
	// Equal content, equal bytes.
	turned := good()
	for i, j := 0, len(turned)-1; i < j; i, j = i+1, j-1 {
		turned[i], turned[j] = turned[j], turned[i]
	}
	a, _ := os.ReadFile(path)
	b, _ := os.ReadFile(write(t, info(), turned))
	if !bytes.Equal(a, b) {
		t.Error("the order of entries shows")
	}
	// Mean squares beyond float32 stay numbers.
	e := good()
	e[2] = entry(m+".input_sq_sum", []int64{2}, []float64{1e300, 0})
	g, err := file.Open(write(t, info(), e))
	if err != nil {
		t.Fatal(err)
	}
	if x, _ := g.MeanSquares(m); x[0] != math.MaxFloat32 {
		t.Error(x)
	}
	// A file that cannot be read any more.
	g.Close()
	if _, ok := g.MeanSquares(m); ok || g.Err() == nil {
		t.Error("read from a closed file")
	}
}

func TestRefuses(t *testing.T) {
	const m, l = "model.layers.0.mlp.up_proj.", "model.layers.0."
	replace := func(e file.Entry) func([]file.Entry) []file.Entry {
		return func(all []file.Entry) []file.Entry {
			for i := range all {
				if all[i].Name == e.Name {
					all[i] = e
					return all
				}
			}
			return append(all, e)
		}
	}
	without := func(name string) func([]file.Entry) []file.Entry {
		return func(all []file.Entry) []file.Entry {
			for i := range all {
				if all[i].Name == name {
					return append(all[:i], all[i+1:]...)
				}
			}
			panic(name)
		}
	}
	for _, c := range []struct {
		do   func([]file.Entry) []file.Entry
		want string
	}{
		{replace(entry(m+"input_amax", nil, []float32{float32(math.NaN())})), `"model.layers.0.mlp.up_proj.input_amax": element 0 is NaN`},
		{replace(entry(m+"input_amax", nil, []float32{-1})), "element 0 is -1"},
		{replace(entry(m+"input_amax", []int64{1}, []float32{1})), "F32 [1], where F32 in 0 dimensions is due"},
		{replace(entry(m+"input_amax", nil, []int64{1})), "I64 [], where F32"},
		{replace(entry(m+"input_amax", nil, []float32{0})), "3 buckets up to that of 0"},
		{replace(entry(m+"input_sq_sum", []int64{2}, []float64{1, math.Inf(1)})), "element 1 is +Inf"},
		{replace(entry(m+"input_sq_sum", []int64{2}, []float64{-1, 1})), "element 0 is -1"},
		{replace(entry(m+"input_sq_sum", []int64{0}, []float64{})), "0 channels"},
		{replace(entry(m+"input_sq_sum", []int64{3}, []float64{1, 1, 1})), "14 numbers in all, where 7 tokens have 3 each"},
		{replace(entry(m+"input_count", nil, []int64{0})), "no tokens"},
		{replace(entry(m+"input_count", nil, []int64{-4})), "is -4, which is no count"},
		{replace(entry(m+"input_count", nil, []int64{8})), "where 8 tokens have"},
		{replace(entry(m+"input_sketch", []int64{3}, []int64{0, 5, 9})), "bucket 0 of 3 is empty"},
		{replace(entry(m+"input_sketch", []int64{2}, []int64{14, 0})), "bucket 1 of 2 is empty"},
		{replace(entry(m+"input_sketch", []int64{2}, []int64{math.MaxInt64, 1})), "total overflows"},
		{replace(entry(m+"input_sketch", []int64{300}, make([]int64, 300))), "300 buckets"},
		{replace(entry(m+"input_group_sketch", []int64{1}, []int64{14})), "14 numbers in all, where 7 tokens have 1 each"},
		{without(m + "input_sketch"), "sketches are there or not"},
		{without(m + "input_amax"), "not all there"},
		{without(m + "input_count"), "not all there"},
		{without(m + "input_sq_sum"), "not all there"},
		{replace(entry(l+"expert_load", []int64{3}, []int64{8, 0, 2})), "8 tokens of 7"},
		{replace(entry(l+"expert_load", []int64{3}, []int64{7, 0, 1})), "do not add up"},
		{replace(entry(l+"expert_load", []int64{3}, []int64{-7, 0, 1})), "which is no count"},
		{replace(entry(l+"expert_load", []int64{2}, []int64{7, 0})), "2 experts, where the metadata says 3"},
		{replace(entry(l+"expert_weight_sum", []int64{3}, []float64{1, -1, 0})), "element 1 is -1"},
		{replace(entry(l+"expert_weight_sum", []int64{3}, []float64{1, math.NaN(), 0})), "element 1 is NaN"},
		{replace(entry(l+"expert_pairs_sparse", []int64{1, 3}, []int64{2, 0, 2})), "ascend"},
		{replace(entry(l+"expert_pairs_sparse", []int64{1, 3}, []int64{0, 3, 2})), "ascend"},
		{replace(entry(l+"expert_pairs_sparse", []int64{1, 3}, []int64{0, 1, 0})), "ascend"},
		{replace(entry(l+"expert_pairs_sparse", []int64{2, 3}, []int64{1, 2, 1, 0, 1, 1})), "row 1"},
		{replace(entry(l+"expert_pairs_sparse", []int64{4, 3}, make([]int64, 12))), "4 pairs of 3 experts"},
		{replace(entry(l+"expert_pairs_sparse", []int64{1, 2}, []int64{0, 1})), "rows of 2"},
		{replace(entry(l+"expert_load_by_text", []int64{1, 3}, []int64{7, 0, 2})), "loads of 1 texts"},
		{replace(entry(l+"expert_load_by_text", []int64{2, 3}, []int64{5, 0, 2, 2, 0, 0})), "5 tokens of text 0, which has 4"},
		{without(l + "expert_load"), "layer 0: its tensors"},
		{without(l + "expert_weight_sum"), "layer 0: its tensors"},
		{without(l + "expert_pairs_sparse"), "layer 0: its tensors"},
		{without(l + "expert_load_by_text"), "layer 0: its tensors"},
		{replace(entry("model.layers.x.expert_load", []int64{3}, []int64{7, 0, 2})), `"model.layers.x" is no layer`},
		{replace(entry("model.layers.01.expert_load", []int64{3}, []int64{7, 0, 2})), "is no layer"},
		{replace(entry("model.layers.-1.expert_load", []int64{3}, []int64{7, 0, 2})), "is no layer"},
		{replace(entry("model.layers.99999999.expert_load", []int64{3}, []int64{7, 0, 2})), "is no layer"},
		{replace(entry("expert_load", []int64{3}, []int64{7, 0, 2})), "is no layer"},
		{replace(entry("input_amax", nil, []float32{1})), "of no module"},
		{replace(entry("k_amax", nil, []float32{1})), "holds no such thing"},
		{replace(entry("model.layers.0.self_attn.q_amax", nil, []float32{1})), "holds no such thing"},
		{replace(entry("x", nil, []float32{1})), "holds no such thing"},
		{replace(entry("model.layers.0.self_attn.k_amax", nil, []float32{float32(math.Inf(1))})), "element 0 is +Inf"},
	} {
		f, err := file.Open(write(t, info(), c.do(good())))
		if err == nil {
			f.Close()
		}
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), `reading "`) {
			t.Errorf("want %q: %v", c.want, err)
		}
	}
}

func TestRefusesMetadata(t *testing.T) {
	dir := t.TempDir()
	whole, err := os.ReadFile(write(t, info(), good()))
	if err != nil {
		t.Fatal(err)
	}
	// with is the file with other metadata.
	with := func(key, value string) []byte {
		h, err := safetensors.ReadHeader(bytes.NewReader(whole), int64(len(whole)), safetensors.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if value == "" {
			delete(h.Metadata, key)
		} else {
			h.Metadata[key] = value
		}
		_, head, err := safetensors.NewHeader(h.Tensors, h.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		return append(head, whole[h.DataOffset:]...)
	}
	for _, c := range []struct {
		raw  []byte
		want string
	}{
		{with("quern_calibration", ""), "no calibration file"},
		{with("quern_calibration", "2"), "a newer quern"},
		{with("model", ""), "which model"},
		{with("texts", "[]"), `"tokens": "7", but the texts have 0`},
		{with("texts", "x"), `"texts"`},
		{with("texts", `[{"tokens":-7,"sequences":1}]`), "text 0 has -7 tokens"},
		{with("texts", `[{"tokens":9223372036854775807,"sequences":1},{"tokens":1,"sequences":1}]`), "text 1"},
		{with("tokens", "8"), `"8", but the texts have 7`},
		{with("experts", "999999"), "999999 experts"},
		{with("experts", "-1"), "-1 experts"},
		{with("mtp_layers", "{}"), `"mtp_layers"`},
		{with("options", "[]"), `"options"`},
		{with("options", `{"pairs":true,"loads_by_text":true}`), "sketches are there or not"},
		{whole[:len(whole)-5], "truncated"},
		{whole[:40], "truncated"},
		{nil, "empty"},
		{[]byte("PK\x03\x04 something else entirely, and longer"), "safetensors"},
	} {
		path := filepath.Join(dir, "c")
		if err := os.WriteFile(path, c.raw, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := file.Open(path)
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q: %v", c.want, err)
		}
	}
	for path, want := range map[string]string{dir: "not a regular file", dir + "/no": "no such file"} {
		if _, err := file.Open(path); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), want) {
			t.Error(err)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	short := entry("a.input_sq_sum", []int64{3}, []float64{1})
	if _, err := file.Write(nil, path, info(), []file.Entry{short}); err == nil || !strings.Contains(err.Error(), "8 bytes instead of 24") {
		t.Error(err)
	}
	failing := entry("a.input_count", nil, []int64{1})
	failing.Data = func(io.Writer) error { return io.ErrClosedPipe }
	if _, err := file.Write(nil, path, info(), []file.Entry{failing}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	twice := entry("a.input_count", nil, []int64{1})
	if _, err := file.Write(nil, path, info(), []file.Entry{twice, twice}); err == nil {
		t.Error("a name twice")
	}
	if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

// Whatever a file holds, opening it ends, and what opens is consistent.
func FuzzOpen(f *testing.F) {
	whole, err := os.ReadFile(write(f, info(), good()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	plain := info()
	plain.Options, plain.Experts, plain.MTPLayers = file.Options{}, 0, nil
	small, err := os.ReadFile(write(f, plain, good()[:3]))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(small)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(dir, "c")
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := file.Open(path)
		if err != nil {
			if !errors.Is(err, invalid.Input) {
				t.Fatal(err)
			}
			return
		}
		defer c.Close()
		for _, m := range c.Modules() {
			x, ok := c.MeanSquares(m)
			if !ok || len(x) != c.Channels(m) || c.Count(m) <= 0 {
				t.Fatal(m, x, ok)
			}
			for _, v := range x {
				if !(v >= 0 && v <= math.MaxFloat32) {
					t.Fatal(m, v)
				}
			}
			for _, groups := range []bool{false, true} {
				if s, ok := c.Sketch(m, groups); ok != c.Info().Options.Sketches || ok && !(s.Quantile(1) >= 0) {
					t.Fatal(m, s, ok)
				}
			}
		}
		for _, l := range c.Layers() {
			if len(c.Load(l)) != c.Info().Experts || len(c.WeightSum(l)) != c.Info().Experts || (c.TextLoads(l) != nil) != c.Info().Options.TextLoads {
				t.Fatal(l)
			}
			c.Pairs(l)
		}
		if c.Err() != nil {
			t.Fatal(c.Err())
		}
	})
}
