package placement

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// ints is a tensor of integers.
type ints struct {
	name  string
	dtype safetensors.DType
	shape []int64
	data  []int64
}

func i64(name string, shape []int64, data ...int64) ints {
	return ints{name, safetensors.I64, shape, data}
}

// file makes a safetensors file.
func file(metadata map[string]string, list ...ints) []byte {
	tensors := make([]safetensors.Tensor, len(list))
	for i, x := range list {
		tensors[i] = safetensors.Tensor{Name: x.name, DType: x.dtype, Shape: x.shape}
	}
	var b bytes.Buffer
	err := safetensors.Write(&b, tensors, metadata, func(i int, w io.Writer) error {
		for _, v := range list[i].data {
			var err error
			switch list[i].dtype {
			case safetensors.I32:
				err = binary.Write(w, binary.LittleEndian, int32(v))
			case safetensors.F32:
				err = binary.Write(w, binary.LittleEndian, float32(v))
			default:
				err = binary.Write(w, binary.LittleEndian, v)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	return b.Bytes()
}

func save(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// blames checks that an error blames the input and says something.
func blames(t *testing.T, err error, says string) {
	t.Helper()
	if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), says) {
		t.Errorf("%v, want an invalid input and %q", err, says)
	}
}

func TestLoadFiles(t *testing.T) {
	for _, c := range []struct {
		json   string
		layers []int
		load   [][]float64
		open   bool // layers have no numbers
	}{
		{`{"load": [[1, 2], [3, 4]]}`, []int{0, 1}, [][]float64{{1, 2}, {3, 4}}, true},
		{`{"layers": [3, 7], "load": [[1, 2], [3, 4]], "note": {"a": [1]}}`, []int{3, 7}, [][]float64{{1, 2}, {3, 4}}, false},
		{`{"load": [[0, 0], [0.5, 1e3]]}`, []int{0, 1}, [][]float64{{0, 0}, {0.5, 1000}}, true},
		{`{"logical_count": [[0, 0], [3, 4]], "rank": 0}`, []int{1}, [][]float64{{3, 4}}, false},
		{`{"logical_count": [[[0, 0], [1, 2]], [[0, 0], [10, 20]]]}`, []int{1}, [][]float64{{11, 22}}, false},
		{`{"logical_count": [[[1.5, 0], [1, 2]]]}`, []int{0, 1}, [][]float64{{1.5, 0}, {1, 2}}, false},
	} {
		got, err := OpenCounts(save(t, "load.json", []byte(c.json)))
		if err != nil {
			t.Errorf("%s: %v", c.json, err)
			continue
		}
		if !reflect.DeepEqual(got.Layers, c.layers) || !reflect.DeepEqual(got.Load, c.load) || got.Unnumbered != c.open || got.Experts != 2 {
			t.Errorf("%s: %+v", c.json, got)
		}
		if err := got.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestBadLoadFiles(t *testing.T) {
	many := "[" + strings.Repeat("1,", maxExperts) + "1]"
	for _, c := range []struct{ json, says string }{
		{`{"load": [[1, 2], [3]]}`, `"load": row 1 counts 1 experts, row 0 counts 2`},
		{`{"load": [[1, -2]]}`, "-2: a load is not negative"},
		{`{"load": [[1, NaN]]}`, "byte 14"},
		{`{"load": [[1, 1e400]]}`, "1e400 is no count"},
		{`{"load": [[1, 9007199254740993]]}`, "9007199254740993 is no count"},
		{`{"load": [[1, null]]}`, "expected a number, found null"},
		{`{"load": [[1, "2"]]}`, "expected a number, found a string"},
		{`{"load": [1, 2]}`, "expected an array"},
		{`{"load": []}`, `"load" counts no experts`},
		{`{"load": [[]]}`, `"load" counts no experts`},
		{`{"load": [[[1]]]}`, "expected a number, found an array"},
		{`{"loads": [[1]]}`, `neither "load" nor "logical_count"`},
		{`{"load": [[1]], "load": [[1]]}`, `key "load" occurs twice`},
		{`{"load": [[1]], "logical_count": [[1]]}`, `both "load" and "logical_count"`},
		{`{"load": [[1]], "layers": [1, 2]}`, `"layers" names 2 layers, "load" counts 1`},
		{`{"load": [[1], [2]], "layers": [2, 2]}`, "numbers of layers ascend"},
		{`{"load": [[1]], "layers": [10000]}`, "below 10000"},
		{`{"load": [[1]], "layers": [-1]}`, "expected a plain non-negative integer"},
		{`{"load": [[1]]} {}`, "expected the end of the text"},
		{`{"load": [[1]`, "byte 13"},
		{`{"load": [` + many + `]}`, "more than 4096 experts"},
		{`{"logical_count": [[0, 0]]}`, `"logical_count": all counts are zero`},
		{`{"logical_count": [[[1, 2]], [[1]]]}`, "steps of different sizes"},
		{`{"logical_count": [[[1]], [[1], [2]]]}`, "steps of different sizes"},
		{`{"logical_count": [[[1], [2]], [[1]]]}`, "steps of different sizes"},
		{`{"logical_count": [[[1]], [1]]}`, "arrays of different depth"},
		{`{"logical_count": [[1], [[1]]]}`, "arrays of different depth"},
		{`{"logical_count": [[[1], 2]]}`, "expected an array"},
	} {
		_, err := OpenCounts(save(t, "load.json", []byte(c.json)))
		blames(t, err, c.says)
		if err != nil && !strings.HasPrefix(err.Error(), `reading "`) {
			t.Errorf("%v does not say where", err)
		}
	}
	for name, start := range map[string]string{"zip": "PK\x03\x04rest", "pickle": "\x80\x02}q"} {
		_, err := OpenCounts(save(t, name+".pt", []byte(start)))
		blames(t, err, "weights_only=True")
	}
	_, err := OpenCounts(save(t, "empty", nil))
	blames(t, err, "the file is empty")
	_, err = OpenCounts(filepath.Join(t.TempDir(), "nowhere"))
	blames(t, err, "there is no such file")
	_, err = OpenCounts(t.TempDir())
	blames(t, err, "not a regular file")
}

func TestCalibration(t *testing.T) {
	raw := file(nil,
		i64("model.layers.3.expert_load", []int64{3}, 5, 6, 7),
		i64("model.layers.61.expert_load", []int64{3}, 1, 0, 2),
		i64("model.layers.61.eh_proj.input_count", []int64{}, 9),
		i64("model.layers.3.mlp.experts.0.up_proj.input_count", []int64{}, 5),
		i64("model.layers.3.expert_pairs", []int64{3, 3}, 5, 1, 2, 1, 6, 3, 2, 3, 7),
		i64("model.layers.61.expert_pairs_sparse", []int64{2, 3}, 0, 1, 4, 1, 2, 5),
		i64("model.layers.x.expert_load", []int64{1}, 1),
		i64("model.layers.07.expert_load", []int64{1}, 1),
	)
	c, err := OpenCalibration(save(t, "calibration.safetensors", raw))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if !reflect.DeepEqual(c.Layers, []int{3, 61}) || !reflect.DeepEqual(c.MTP, []int{61}) || !reflect.DeepEqual(c.Load, [][]float64{{5, 6, 7}, {1, 0, 2}}) {
		t.Errorf("%+v", c)
	}
	for layer, want := range map[int][]float64{3: {0, 1, 2, 1, 0, 3, 2, 3, 0}, 61: {0, 4, 0, 4, 0, 5, 0, 5, 0}, 4: nil} {
		if got, err := c.pairs(layer); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("layer %d: %v, %v", layer, got, err)
		}
	}
	// What was chosen together comes together.
	load := i64("model.layers.0.expert_load", []int64{4}, 10, 10, 10, 10)
	pairs := i64("model.layers.0.expert_pairs_sparse", []int64{2, 3}, 0, 3, 9, 1, 2, 9)
	c, err = OpenCalibration(save(t, "c", file(nil, load, pairs)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	in, err := NewInput(c, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Place(t.Context(), in, Config{Ranks: 2})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Layers[0].Phy2Log; !reflect.DeepEqual(got, []int{0, 3, 1, 2}) {
		t.Errorf("%v", got)
	}
}

func TestBadCalibrations(t *testing.T) {
	load := i64("model.layers.0.expert_load", []int64{3}, 5, 6, 7)
	for _, c := range []struct {
		says string
		list []ints
	}{
		{"this is no calibration file", []ints{i64("x", []int64{1}, 1)}},
		{"give it as --trace", []ints{i64("router.0.indices", []int64{1, 1}, 1)}},
		{"F32 [3], where I64 [experts] is due", []ints{{load.name, safetensors.F32, load.shape, load.data}}},
		{"I64 [1 3], where I64 [experts] is due", []ints{i64(load.name, []int64{1, 3}, 1, 2, 3)}},
		{"expert 1: -6 is no count", []ints{i64(load.name, load.shape, 5, -6, 7)}},
		{"expert 2: 9007199254740993 is no count", []ints{i64(load.name, load.shape, 5, 6, 1<<53+1)}},
		{"0 experts, where 1 to 4096 are possible", []ints{i64(load.name, []int64{0})}},
		{`"model.layers.2.expert_load": 2 experts, where layer 0 has 3`, []ints{load, i64("model.layers.2.expert_load", []int64{2}, 1, 2)}},
		{"there is no layer 20000", []ints{load, i64("model.layers.20000.expert_load", []int64{3}, 1, 2, 3)}},
		{"I64 [3 2], where I64 or U64 [3 3] is due", []ints{load, i64("model.layers.0.expert_pairs", []int64{3, 2}, 1, 2, 3, 4, 5, 6)}},
		{"experts 1 and 0: 4 one way and 1 the other", []ints{load, i64("model.layers.0.expert_pairs", []int64{3, 3}, 0, 1, 2, 4, 0, 3, 2, 3, 0)}},
		{"experts 0 and 1: -1 is no count", []ints{load, i64("model.layers.0.expert_pairs", []int64{3, 3}, 0, -1, 2, -1, 0, 3, 2, 3, 0)}},
		{"element 1 is 18446744073709551615, which is no count", []ints{load, {"model.layers.0.expert_pairs", safetensors.U64, []int64{3, 3}, []int64{0, -1, 2, -1, 0, 3, 2, 3, 0}}}},
		{"I64 [3], where I64 [pairs 3] is due", []ints{load, i64("model.layers.0.expert_pairs_sparse", []int64{3}, 0, 1, 2)}},
		{"row 0: 1 and 1 are no pair of 3 experts", []ints{load, i64("model.layers.0.expert_pairs_sparse", []int64{1, 3}, 1, 1, 2)}},
		{"row 0: 2 and 3 are no pair", []ints{load, i64("model.layers.0.expert_pairs_sparse", []int64{1, 3}, 2, 3, 2)}},
		{"row 1: experts 0 and 1 are out of order", []ints{load, i64("model.layers.0.expert_pairs_sparse", []int64{2, 3}, 0, 1, 2, 0, 1, 2)}},
		{"experts 0 and 1: -2 is no count", []ints{load, i64("model.layers.0.expert_pairs_sparse", []int64{1, 3}, 0, 1, -2)}},
	} {
		counts, err := OpenCalibration(save(t, "calibration.safetensors", file(nil, c.list...)))
		if err == nil {
			in, _ := NewInput(counts, nil, 0)
			_, err = Place(t.Context(), in, Config{Ranks: 3})
			_ = counts.Close()
		}
		blames(t, err, c.says)
	}
}

// choices are rows of two experts.
func choices(tokens int, experts ...int64) []int64 {
	var out []int64
	for i := range tokens {
		out = append(out, experts[2*i%len(experts)], experts[(2*i+1)%len(experts)])
	}
	return out
}

func TestTraces(t *testing.T) {
	router := func(layer, tokens int) ints {
		return i64(fmt.Sprintf("router.%d.indices", layer), []int64{int64(tokens), 2}, choices(tokens, 0, 1, 2, 3, 1, 3)...)
	}
	tokens := i64("input_ids", []int64{100}, make([]int64, 100)...)
	for _, c := range []struct {
		offsets []int64
		made    int64
		text    bool
	}{
		{nil, 80, false},
		{[]int64{0}, 80, false},
		{[]int64{0, 100}, 80, false},
		{[]int64{0, 20, 40, 60, 80}, 80, true},
		{[]int64{0, 20, 85, 88, 100}, 85, true},
		{[]int64{0, 70, 95}, 70, true},
		{[]int64{0, 50, 95}, 80, false},
		{[]int64{0, 0, 61, 75, 91, 100}, 75, true},
	} {
		list := []ints{router(1, 100), router(2, 97), tokens}
		if c.offsets != nil {
			list = append(list, i64("offsets", []int64{int64(len(c.offsets))}, c.offsets...))
		}
		trace, err := OpenTrace(save(t, "trace", file(map[string]string{"experts": "5"}, list...)))
		if err != nil {
			t.Fatal(err)
		}
		want := Split{Tokens: 100, MadeFrom: c.made, Measured: 100 - c.made, AtText: c.text}
		if trace.Split != want || trace.Experts != 5 || !reflect.DeepEqual(trace.MTP, []int{2}) {
			t.Errorf("%v: %+v", c.offsets, trace)
		}
		for i, rows := range []int{100, 97} {
			made, measured, err := trace.read(i, 5)
			if err != nil || made.tokens()+measured.tokens() != rows || made.tokens() != rows*int(c.made)/100 {
				t.Errorf("%v: %d and %d tokens, %v", c.offsets, made.tokens(), measured.tokens(), err)
			}
		}
		_ = trace.Close()
	}
}

func TestBadTraces(t *testing.T) {
	good := choices(20, 0, 1, 2, 3)
	router := i64("router.1.indices", []int64{20, 2}, good...)
	bad := func(at int, v int64) ints {
		data := slices.Clone(good)
		data[at] = v
		return i64("router.1.indices", []int64{20, 2}, data...)
	}
	for _, c := range []struct {
		says     string
		metadata map[string]string
		list     []ints
	}{
		{"this is no routing trace", nil, []ints{i64("x", []int64{1}, 1)}},
		{"where I32 or I64 [tokens, experts of a token] is due", nil, []ints{i64("router.1.indices", []int64{40}, good...)}},
		{"F32 [20 2], where I32 or I64", nil, []ints{{"router.1.indices", safetensors.F32, []int64{20, 2}, good}}},
		{"a trace of 4 tokens: at least 10 are needed", nil, []ints{i64("router.1.indices", []int64{4, 2}, good[:8]...)}},
		{`"router.2.indices": 4 tokens of 20`, nil, []ints{router, i64("router.2.indices", []int64{4, 2}, good[:8]...)}},
		{`"input_ids": 3 tokens, where a router chose for 20`, nil, []ints{router, i64("input_ids", []int64{3}, 1, 2, 3)}},
		{`"experts": "many" is no number of experts`, map[string]string{"experts": "many"}, []ints{router}},
		{`"experts": "0" is no number of experts`, map[string]string{"experts": "0"}, []ints{router}},
		{"token 7 chose expert -1", nil, []ints{bad(15, -1)}},
		{"token 7 chose expert 4096", nil, []ints{bad(15, 4096)}},
		{"token 7 chose expert 4 of 4", map[string]string{"experts": "4"}, []ints{bad(15, 4)}},
		{"token 7 chose expert 2 twice", map[string]string{"experts": "4"}, []ints{bad(15, 2)}},
		{"2 experts a token, of 1", map[string]string{"experts": "1"}, []ints{router}},
		{"the first text begins at token 3", nil, []ints{router, i64("offsets", []int64{2}, 3, 9)}},
		{"text 2 begins at token 8 of 20", nil, []ints{router, i64("offsets", []int64{3}, 0, 9, 8)}},
		{"text 1 begins at token 21 of 20", nil, []ints{router, i64("offsets", []int64{2}, 0, 21)}},
		{"text 1 begins at token -1 of 20", nil, []ints{router, i64("offsets", []int64{2}, 0, -1)}},
		{"F32 [1], where I32 or I64 [texts] is due", nil, []ints{router, {"offsets", safetensors.F32, []int64{1}, []int64{0}}}},
	} {
		trace, err := OpenTrace(save(t, "trace", file(c.metadata, c.list...)))
		if err == nil {
			var in *Input
			if in, err = NewInput(nil, trace, 0); err == nil {
				_, err = Place(t.Context(), in, Config{Ranks: 1})
			}
			_ = trace.Close()
		}
		blames(t, err, c.says)
	}
}

func TestJoin(t *testing.T) {
	trace := func(experts string, layers ...int) *Trace {
		var list []ints
		for _, l := range layers {
			list = append(list, i64(fmt.Sprintf("router.%d.indices", l), []int64{20, 2}, choices(20, 0, 1, 2, 3)...))
		}
		metadata := map[string]string{}
		if experts != "" {
			metadata["experts"] = experts
		}
		x, err := OpenTrace(save(t, "trace", file(metadata, list...)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = x.Close() })
		return x
	}
	counts := func(json string) *Counts {
		c, err := OpenCounts(save(t, "load", []byte(json)))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	three := `{"load": [[1, 2, 3, 4], [4, 3, 2, 1], [1, 1, 1, 1]]}`

	in, err := NewInput(counts(three), trace("", 3, 4, 5), 0)
	if err != nil || in.Unnumbered || !reflect.DeepEqual(in.Layers, []int{3, 4, 5}) || in.Experts != 4 {
		t.Errorf("%+v, %v", in, err)
	}
	in, err = NewInput(nil, trace("", 3), 0)
	if err != nil || in.Experts != 4 || len(in.Notes) != 1 || !strings.Contains(in.Notes[0], "--experts") {
		t.Errorf("%+v, %v", in, err)
	}
	in, err = NewInput(nil, trace("", 3), 6)
	if err != nil || in.Experts != 6 || len(in.Notes) != 0 {
		t.Errorf("%+v, %v", in, err)
	}
	_, err = NewInput(counts(three), trace("", 3, 4), 0)
	blames(t, err, "counts layers 0–2, the trace")
	_, err = NewInput(counts(`{"load": [[1, 2, 3, 4]], "layers": [4]}`), trace("", 3), 0)
	blames(t, err, "has layers 3")
	_, err = NewInput(counts(three), trace("8", 3, 4, 5), 0)
	blames(t, err, "counts 4 experts, the trace")
	_, err = NewInput(counts(three), nil, 8)
	blames(t, err, "--experts 8: ")
	_, err = NewInput(nil, trace("4", 3), 8)
	blames(t, err, "--experts 8: ")
	if _, err = NewInput(nil, nil, 0); !errors.As(err, new(*UsageError)) {
		t.Errorf("%v", err)
	}

	// Of another model.
	in, err = NewInput(counts(three), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	fit, err := in.For(Shape{Layers: []int{1, 2, 7}, MTP: []int{7}, Experts: 4})
	if err != nil || fit.Unnumbered || !reflect.DeepEqual(fit.Layers, []int{1, 2, 7}) {
		t.Errorf("%+v, %v", fit, err)
	}
	_, err = in.For(Shape{Layers: []int{1, 2, 7}, Experts: 8})
	blames(t, err, "4 experts a layer, where the model has 8: of another model?")
	_, err = in.For(Shape{Layers: []int{1, 2, 3, 5}, Experts: 4})
	blames(t, err, "3 layers, where the model has 4 with experts (1–3, 5): of another model?")
	in.Unnumbered = false
	_, err = in.For(Shape{Layers: []int{1, 2, 3}, Experts: 4})
	blames(t, err, "layers 0–2, where the model has experts in layers 1–3")
}

// The trace of the embedded model's own reference, in which the MTP layer lacks a
// token.
func TestTraceOfTinyseek(t *testing.T) {
	trace, err := OpenTrace("../../internal/tinyseek/testdata/reference.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = trace.Close() }()
	if !reflect.DeepEqual(trace.Layers, []int{1, 2, 3, 4}) || !reflect.DeepEqual(trace.MTP, []int{4}) || trace.Split.Tokens != 96 {
		t.Fatalf("%+v", trace)
	}
	in, err := NewInput(nil, trace, 16)
	if err != nil {
		t.Fatal(err)
	}
	cmp, err := Compare(t.Context(), in, Config{Ranks: 4, Nodes: 4, Groups: 4})
	if err != nil {
		t.Fatal(err)
	}
	check(t, cmp.Placement)
	if f := *cmp.Mean[Quern].NodeFanout; f > 2 {
		t.Errorf("%v nodes a token of 2 groups", f)
	}
}
