package calibrate_test

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/runner/golden"

	"quern/calibrate"
	"quern/calibrate/file"
	"quern/corpus"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/runner"
)

const models = "../runner/testdata/models/"

// tensors reads a small safetensors file as numbers.
func tensors(t testing.TB, path string) map[string][]float64 {
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
	out := map[string][]float64{}
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
		out[x.Name] = v
	}
	return out
}

func openModel(t testing.TB, dir string) *runner.Model {
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

func openFile(t testing.TB, path string) *file.File {
	t.Helper()
	f, err := file.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// run calibrates on sequences and fails the test if that fails.
func run(t testing.TB, m *runner.Model, texts []corpus.Text, path string, o calibrate.Options) *calibrate.Result {
	t.Helper()
	if o.Tool == "" {
		o.Tool = "test"
	}
	r, err := calibrate.Run(context.Background(), m, texts, corpus.Whole(texts), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// near reports whether mean squares agree to 1e-4, or activations to 1e-6 of their
// root mean square rms: a channel that is nearly zero in the only token that reached
// an expert is what float32 leaves of larger numbers. (Held against float64, the
// goldens themselves are off by up to 2.2e-4 there.)
func near(want, got, rms float64) bool {
	return math.Abs(want-got) <= 1e-4*max(want, 1e-6) || math.Abs(math.Sqrt(want)-math.Sqrt(got)) <= 1e-6*rms
}

// sameChoices compares the experts of tokens, k each, in whatever order.
func sameChoices(a, b []float64, k int) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	for _, x := range [][]float64{a, b} {
		for i := 0; i+k <= len(x); i += k {
			slices.Sort(x[i : i+k])
		}
	}
	return slices.Equal(a, b)
}

// What another implementation measures with hooks of its own on the same tokens.
func TestGoldens(t *testing.T) {
	for _, family := range []string{"deepseek_v3", "qwen3_moe", "glm4_moe", "deepseek_v2_lite"} {
		t.Run(family, func(t *testing.T) {
			dir := models + family
			texts, err := corpus.ReadIDs(dir + "/reference.safetensors")
			if err != nil {
				t.Fatal(err)
			}
			m := openModel(t, dir)
			out, trace := filepath.Join(t.TempDir(), "c.safetensors"), filepath.Join(t.TempDir(), "trace.safetensors")
			run(t, m, texts, out, calibrate.Options{Trace: trace})
			f := openFile(t, out)
			choices := tensors(t, trace)
			want := tensors(t, dir+"/calibration_expected.safetensors")
			reached := map[string]bool{}
			var worst float64
			for name, w := range want {
				i := strings.LastIndexByte(name, '.')
				module, kind := name[:i], name[i+1:]
				layer := -1
				for _, l := range f.Layers() {
					if file.ExpertLoad.LayerName(l) == module+".expert_load" {
						layer = l
					}
				}
				var got []float64
				rms := 0.0
				switch kind {
				case "input_amax":
					x, ok := f.InputAmax(module)
					if reached[module] = true; !ok {
						t.Errorf("%s is missing", module)
					}
					got = []float64{float64(x)}
				case "input_sq":
					x, _ := f.MeanSquares(module)
					for _, v := range x {
						got = append(got, float64(v))
						rms += float64(v)
					}
					rms = math.Sqrt(rms / float64(len(x)))
				case "expert_load":
					for _, v := range f.Load(layer) {
						got = append(got, float64(v))
					}
					if !slices.Equal(got, w) {
						t.Errorf("%s: %v instead of %v", name, got, w)
					}
					continue
				case "expert_weight":
					got = f.WeightSum(layer)
				case "indices":
					// The goldens of some families list a token's experts in another order.
					if got = choices[name]; !sameChoices(got, w, 4) {
						t.Errorf("%s differs", name)
					}
					continue
				default:
					t.Fatal(name)
				}
				if len(got) != len(w) {
					t.Fatalf("%s: %d numbers instead of %d", name, len(got), len(w))
				}
				for i := range w {
					if !near(w[i], got[i], rms) {
						t.Errorf("%s: element %d is %v instead of %v", name, i, got[i], w[i])
					}
					worst = max(worst, math.Abs(w[i]-got[i])/max(math.Abs(w[i]), 1e-6))
				}
			}
			t.Logf("%d tensors, largest relative difference %.2g", len(want), worst)
			for _, module := range f.Modules() {
				// The goldens have neither the MTP layer nor its projection.
				if !reached[module] && !strings.HasPrefix(module, "model.layers.3.") {
					t.Errorf("%s was reached here only", module)
				}
			}
			if m.HasMTP() && f.Count("model.layers.3.eh_proj") != int64(len(texts[0].IDs)-1) {
				t.Errorf("the projection of MTP saw %d tokens", f.Count("model.layers.3.eh_proj"))
			}
		})
	}
}
