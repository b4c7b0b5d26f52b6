package verify_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/formats/synth"
	"quern/verify"
)

// Names in synth's checkpoints.
const (
	expert = "model.layers.1.mlp.experts.2.gate_proj.weight"
	router = "model.layers.1.mlp.gate.weight"
	norm   = "model.norm.weight"
)

// tiny writes the smallest checkpoint.
func tiny(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tiny")
	if err := synth.Tiny().Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t *testing.T, dir string) *hf.Checkpoint {
	t.Helper()
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// quantized returns the block-FP8 form of the checkpoint in dir.
func quantized(t *testing.T, dir string, o convert.QuantizeOptions) string {
	t.Helper()
	c := open(t, dir)
	p, err := convert.PlanQuantize(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return execute(t, c, p)
}

// dequantized returns the BF16 form of the checkpoint in dir.
func dequantized(t *testing.T, dir string) string {
	t.Helper()
	c := open(t, dir)
	p, err := convert.PlanBF16(c, convert.BF16Options{})
	if err != nil {
		t.Fatal(err)
	}
	return execute(t, c, p)
}

func execute(t *testing.T, c *hf.Checkpoint, p *plan.Plan) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	if _, err := convert.Run(context.Background(), c, p, out, convert.RunOptions{Workers: 1}); err != nil {
		t.Fatal(err)
	}
	return out
}

// damage changes the bytes of a tensor in its file.
func damage(t *testing.T, dir, tensor string, change func([]byte)) {
	t.Helper()
	r, ok := open(t, dir).Lookup(tensor)
	if !ok {
		t.Fatalf("no tensor %q", tensor)
	}
	f, err := os.OpenFile(r.File.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := r.File.Header.DataOffset + r.Tensor.Begin
	p := make([]byte, r.Tensor.Bytes())
	if _, err := f.ReadAt(p, at); err != nil {
		t.Fatal(err)
	}
	change(p)
	if _, err := f.WriteAt(p, at); err != nil {
		t.Fatal(err)
	}
}

// edit changes the manifest.
func edit(t *testing.T, dir string, change func(*manifest.Manifest)) {
	t.Helper()
	path := filepath.Join(dir, manifest.Name)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	change(m)
	if raw, err = m.Encode(); err != nil {
		t.Fatal(err)
	}
	write(t, path, raw)
}

func write(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

func integrity(t *testing.T, dir string) *verify.Report {
	t.Helper()
	r, err := verify.Integrity(context.Background(), open(t, dir), verify.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	inParts(t, nil, open(t, dir), r)
	return undeclared(t, dir, r)
}

// byHand marks the configs of checkpoints that tests compose tensor by tensor: they say
// nothing of a quantization, which the gate config would blame.
const byHand = "composed_by_hand"

// undeclared switches the gate config off for those.
func undeclared(t *testing.T, dir string, r *verify.Report) *verify.Report {
	t.Helper()
	if c := open(t, dir); c.ConfigValue.Get(byHand) != nil {
		r.SetOff("config")
	}
	return r
}

func compare(t *testing.T, base, cand string) *verify.Report {
	t.Helper()
	r, err := verify.Compare(context.Background(), open(t, base), open(t, cand), verify.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	inParts(t, open(t, base), open(t, cand), r)
	return undeclared(t, cand, r)
}

func gate(t *testing.T, r *verify.Report, name string) verify.Gate {
	t.Helper()
	i := slices.IndexFunc(r.Gates, func(g verify.Gate) bool { return g.Name == name })
	if i < 0 {
		t.Fatalf("no gate %q in %+v", name, r.Gates)
	}
	return r.Gates[i]
}

// wantFailed checks that exactly the gates named failed, the first of them with
// one tensor and a line that has all the texts.
func wantFailed(t *testing.T, r *verify.Report, gates []string, texts ...string) {
	t.Helper()
	var failed []string
	for _, g := range r.Gates {
		if !g.Passed {
			failed = append(failed, g.Name)
		}
		if g.Passed != (len(g.Failures) == 0) {
			t.Errorf("gate %s: passed %v with failures %q", g.Name, g.Passed, g.Failures)
		}
	}
	if !slices.Equal(failed, gates) {
		t.Errorf("failed: %q, want %q\n%+v", failed, gates, r.Gates)
	}
	if r.Passed != (len(gates) == 0) {
		t.Errorf("passed: %v with %d failed gates", r.Passed, len(gates))
	}
	if len(gates) == 0 || len(texts) == 0 {
		return
	}
	g := gate(t, r, gates[len(gates)-1])
	if len(g.Failures) != 1 {
		t.Fatalf("gate %s: %q, want one line", g.Name, g.Failures)
	}
	for _, text := range texts {
		if !strings.Contains(g.Failures[0], text) {
			t.Errorf("gate %s: %q lacks %q", g.Name, g.Failures[0], text)
		}
	}
}

// entry is a tensor to be written.
type entry struct {
	name  string
	dtype safetensors.DType
	shape []int64
	data  []byte
}

// checkpoint writes one file with the tensors, and config.json unless config is nil.
func checkpoint(t *testing.T, config map[string]any, tensors ...entry) string {
	t.Helper()
	dir := t.TempDir()
	list := make([]safetensors.Tensor, len(tensors))
	for i, x := range tensors {
		list[i] = safetensors.Tensor{Name: x.name, DType: x.dtype, Shape: x.shape}
	}
	h, raw, err := safetensors.NewHeader(list, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, placed := range h.Tensors {
		i := slices.IndexFunc(tensors, func(x entry) bool { return x.name == placed.Name })
		if int64(len(tensors[i].data)) != placed.Bytes() {
			t.Fatalf("tensor %q: %d bytes, want %d", placed.Name, len(tensors[i].data), placed.Bytes())
		}
		raw = append(raw, tensors[i].data...)
	}
	write(t, filepath.Join(dir, "model.safetensors"), raw)
	if config == nil {
		config = map[string]any{"model_type": "nobody_knows"}
	}
	config = maps.Clone(config)
	if config["quantization_config"] == nil {
		config[byHand] = true
	}
	c, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "config.json"), c)
	return dir
}
