package runner_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/runner/golden"

	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/runner"
)

// reference holds the tensors of an outputs file.
type reference map[string][]float64

func readReference(t testing.TB, path string) reference {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, err := safetensors.ReadHeader(f, int64(len(data)), safetensors.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	ref := reference{}
	for _, x := range h.Tensors {
		raw := data[h.DataOffset+x.Begin : h.DataOffset+x.End]
		v := make([]float64, x.Elements())
		for i := range v {
			switch x.DType {
			case safetensors.F32:
				v[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
			case safetensors.I64:
				v[i] = float64(int64(binary.LittleEndian.Uint64(raw[8*i:])))
			case safetensors.I32:
				v[i] = float64(int32(binary.LittleEndian.Uint32(raw[4*i:])))
			case safetensors.F64:
				v[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
			default:
				t.Fatal(x.DType)
			}
		}
		ref[x.Name] = v
	}
	return ref
}

func (r reference) ids() []int {
	var ids []int
	for _, id := range r["input_ids"] {
		ids = append(ids, int(id))
	}
	return ids
}

func open(t testing.TB, dir string) *runner.Model {
	t.Helper()
	c, err := hf.Open(golden.Folder(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	m, err := runner.Open(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// logits multiplies states with a head, tile by tile.
func logits(t testing.TB, h *runner.Head, x *runner.Rows, vocab, tile int) []float32 {
	t.Helper()
	in, err := x.View(0, x.Len(), make([]float32, x.Len()*x.Width()))
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, x.Len()*vocab)
	var buf []byte
	for first := 0; first < vocab; first += tile {
		var w *runner.Tile
		w, buf, err = h.Tile(first, min(tile, vocab-first), buf)
		if err != nil {
			t.Fatal(err)
		}
		part := make([]float32, x.Len()*w.N)
		w.Logits(part, in, x.Len())
		for r := range x.Len() {
			copy(out[r*vocab+first:], part[r*w.N:][:w.N])
		}
	}
	return out
}

// deviation is the standard deviation of x.
func deviation(x []float64) float64 {
	sum, square := 0.0, 0.0
	for _, v := range x {
		sum += v
	}
	mean := sum / float64(len(x))
	for _, v := range x {
		square += (v - mean) * (v - mean)
	}
	return math.Sqrt(square / float64(len(x)))
}

func maxDiff(t testing.TB, got []float32, want []float64) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d numbers instead of %d", len(got), len(want))
	}
	d := 0.0
	for i := range got {
		x := math.Abs(float64(got[i]) - want[i])
		if !(x <= d) {
			d = x
		}
	}
	return d
}

// checkOutputs holds a checkpoint against outputs of another implementation: hidden
// states, logits and MTP logits within the bounds of docs/verify.md.
func checkOutputs(t *testing.T, dir string, ref reference, o runner.Options) {
	t.Helper()
	m := open(t, dir)
	layers := 0
	o.Hooks = &runner.Hooks{Hidden: func(layer, first int, x []float32, rows int) error {
		want := ref[fmt.Sprint("hidden.", layer)]
		if want == nil {
			return nil
		}
		layers++
		width := m.Hidden()
		square := 0.0
		for _, v := range want {
			square += v * v
		}
		rms := math.Sqrt(square / float64(len(want)))
		if d := maxDiff(t, x[:rows*width], want[first*width:][:rows*width]); !(d <= 1e-3*rms) {
			t.Errorf("hidden state %d differs by %.3g, RMS %.3g", layer, d, rms)
		}
		return nil
	}}
	ev, err := m.Evaluate(context.Background(), [][]int{ref.ids()}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer ev.Close()
	if want := m.Layers() + 1; ref["hidden.0"] != nil && layers != want {
		t.Errorf("%d hidden states were compared, want %d", layers, want)
	}
	bound := 2e-4 * max(1, deviation(ref["logits"]))
	if d := maxDiff(t, logits(t, m.Head(runner.Options{}), ev.Hidden, m.Vocab(), m.Vocab()), ref["logits"]); !(d <= bound) {
		t.Errorf("logits differ by %.3g, bound %.3g", d, bound)
	} else {
		t.Logf("logits %.2g of the bound", d/bound)
	}
	if want := ref["mtp_logits"]; want != nil {
		h, _ := m.MTPHead(runner.Options{})
		if d := maxDiff(t, logits(t, h, ev.MTP, m.Vocab(), 128), want); !(d <= bound) {
			t.Errorf("MTP logits differ by %.3g, bound %.3g", d, bound)
		}
	}
}

func TestGoldens(t *testing.T) {
	dirs, err := filepath.Glob("testdata/models/*")
	if err != nil {
		t.Fatal(err)
	}
	// Each family has a golden, but for those that compute what another one computes.
	missing := map[string]bool{}
	for _, name := range runner.Families() {
		missing[name] = true
	}
	for _, name := range []string{"mistral", "qwen2", "glm4_moe_lite"} {
		delete(missing, name)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ref := readReference(t, dir+"/reference.safetensors")
			m := open(t, dir)
			delete(missing, m.Checkpoint().Arch().Name())
			if m.HasMTP() && ref["mtp_logits"] == nil {
				t.Error("no MTP logits to compare with")
			}
			checkOutputs(t, dir, ref, runner.Options{})
			// The same with next to no memory: states in a file, experts one by one.
			checkOutputs(t, dir, ref, runner.Options{Memory: 1, TempDir: t.TempDir(), Workers: 1})
		})
	}
	for name := range missing {
		t.Errorf("%s has no golden in testdata/models", name)
	}
}

func TestUnsupported(t *testing.T) {
	for family, lacks := range map[string]string{"kimi_k3": "attn_res_block_size", "deepseek_v41": "engrams", "dbrx": "compute it;"} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/config.json", []byte(`{"model_type": "`+family+`", "num_hidden_layers": 2}`), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(dir + "/model.safetensors")
		if err != nil {
			t.Fatal(err)
		}
		if err := safetensors.Write(f, nil, nil, nil); err != nil {
			t.Fatal(err)
		}
		f.Close()
		c, err := hf.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = runner.Open(c, nil)
		if err == nil || !strings.Contains(err.Error(), family) || !strings.Contains(err.Error(), lacks) || !strings.Contains(err.Error(), "deepseek_v3") {
			t.Errorf("%s: %v", family, err)
		}
	}
}
