package verify_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"quern/convert"
	"quern/convert/manifest"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/internal/tinyseek"
	"quern/store"
	"quern/verify"
)

func TestUndamaged(t *testing.T) {
	src := tiny(t)
	r := integrity(t, src)
	wantFailed(t, r, nil)
	if g := gate(t, r, "digest"); g.Skipped == "" {
		t.Errorf("digest without a manifest: %+v", g)
	}
	if g := gate(t, r, "scales"); g.Skipped == "" {
		t.Errorf("scales of BF16: %+v", g)
	}
	out := quantized(t, src, convert.QuantizeOptions{})
	r = integrity(t, out)
	wantFailed(t, r, nil)
	for _, g := range r.Gates {
		if g.Skipped != "" {
			t.Errorf("gate %s was not checked: %s", g.Name, g.Skipped)
		}
	}
	if c := open(t, out); r.Tensors != c.Len() || r.Bytes != c.Bytes() || r.Checkpoint != out {
		t.Errorf("report of %q: %d tensors, %d bytes", r.Checkpoint, r.Tensors, r.Bytes)
	}
	if len(r.Warnings) > 0 {
		t.Errorf("warnings %q", r.Warnings)
	}
}

func TestTinyseek(t *testing.T) {
	src := filepath.Join(t.TempDir(), "tinyseek")
	if err := tinyseek.Extract(src); err != nil {
		t.Fatal(err)
	}
	wantFailed(t, integrity(t, src), nil)
	out := quantized(t, src, convert.QuantizeOptions{})
	r := compare(t, src, out)
	wantFailed(t, r, nil)
	agrees(t, out, r.Weights)
}

func TestDamage(t *testing.T) {
	src := tiny(t)
	bits := func(x float32) uint32 { return math.Float32bits(x) }
	put := func(i int, x float32) func([]byte) {
		return func(p []byte) { binary.LittleEndian.PutUint32(p[4*i:], bits(x)) }
	}
	for _, c := range []struct {
		name   string
		ue8m0  bool
		tensor string
		change func([]byte)
		gates  []string // the first one's only line has the texts
		texts  []string
	}{
		{"a bit in codes", false, expert, func(p []byte) { p[100] ^= 1 }, []string{"digest"}, []string{`"` + expert + `"`, "BLAKE3"}},
		{"a NaN code", false, expert, func(p []byte) { p[137], p[200] = 0x7f, 0xff }, []string{"digest", "finite"}, []string{expert}},
		{"NaN in a norm", false, norm, func(p []byte) { p[2*5], p[2*5+1] = 0xc0, 0x7f }, []string{"digest", "finite"}, []string{norm}},
		{"infinite router bias", false, "model.layers.1.mlp.gate.e_score_correction_bias", put(1, float32(math.Inf(1))), []string{"digest", "finite"}, nil},
		{"negative scale", false, expert + "_scale_inv", put(1, -1), []string{"digest", "scales"}, nil},
		{"zero scale", false, expert + "_scale_inv", put(0, 0), []string{"digest", "scales"}, nil},
		{"NaN scale", false, expert + "_scale_inv", put(0, float32(math.NaN())), []string{"digest", "scales"}, nil},
		{"uneven scale", true, expert + "_scale_inv", put(1, 0.375), []string{"digest", "scales"}, nil},
		{"scale doubled", true, expert + "_scale_inv", put(1, 0.25), []string{"digest"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := quantized(t, src, convert.QuantizeOptions{UE8M0: c.ue8m0})
			damage(t, out, c.tensor, c.change)
			wantFailed(t, integrity(t, out), c.gates, append(c.texts, c.tensor)...)
		})
	}
}

func TestFindingsAreExact(t *testing.T) {
	out := quantized(t, tiny(t), convert.QuantizeOptions{})
	damage(t, out, expert, func(p []byte) { p[137], p[200] = 0x7f, 0xff })
	damage(t, out, norm, func(p []byte) { p[2*5], p[2*5+1] = 0xc0, 0x7f })
	damage(t, out, expert+"_scale_inv", func(p []byte) { binary.LittleEndian.PutUint32(p[4:], math.Float32bits(-2)) })
	r := integrity(t, out)
	if got, want := gate(t, r, "finite").Failures, []string{
		`tensor "` + expert + `" (routed_expert): 2 of 9792 are NaN codes, the first at index 137 (row 1, column 1)`,
		`tensor "` + norm + `" (norm): 1 of 136 are NaN or infinite values, the first at index 5`,
	}; !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("finite: %q\nwant %q", got, want)
	}
	if got, want := gate(t, r, "scales").Failures, []string{
		`tensor "` + expert + `_scale_inv" (scale): 1 of 2 scales are not positive and finite, the first is -2 at index 1 (row 0, column 1)`,
	}; !slices.Equal(got, want) {
		t.Errorf("scales: %q\nwant %q", got, want)
	}
	if v := gate(t, r, "digest").Value; v != 3 {
		t.Errorf("digest: value %v, want 3 tensors", v)
	}
}

func sorted(s []string) []string { s = slices.Clone(s); slices.Sort(s); return s }

func TestManifest(t *testing.T) {
	src := tiny(t)
	find := func(m *manifest.Manifest, name string) *manifest.Tensor {
		return &m.Tensors[slices.IndexFunc(m.Tensors, func(t manifest.Tensor) bool { return t.Name == name })]
	}
	for _, c := range []struct {
		name   string
		change func(*manifest.Manifest)
		text   string
	}{
		{"digest", func(m *manifest.Manifest) { find(m, norm).BLAKE3 = strings.Repeat("0", 64) }, "BLAKE3"},
		{"dtype", func(m *manifest.Manifest) { find(m, norm).DType = safetensors.F16 }, "dtype BF16, the manifest says F16"},
		{"shape", func(m *manifest.Manifest) { find(m, norm).Shape = []int64{1, 136} }, "shape [136], the manifest says [1 136]"},
		{"file", func(m *manifest.Manifest) { find(m, norm).File = "other.safetensors" }, `the manifest says "other.safetensors"`},
		{"extra", func(m *manifest.Manifest) { find(m, norm).Name = "model.norm.weigth" }, ""},
		{"missing", func(m *manifest.Manifest) {
			m.Tensors = append(m.Tensors, manifest.Tensor{Name: "gone", File: "f", DType: safetensors.BF16})
		}, `tensor "gone": missing`},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := quantized(t, src, convert.QuantizeOptions{})
			edit(t, out, c.change)
			r := integrity(t, out)
			if c.text != "" {
				wantFailed(t, r, []string{"digest"}, c.text)
				return
			}
			wantFailed(t, r, []string{"digest"})
			if g := gate(t, r, "digest"); g.Value != 2 { // one too many, one missing
				t.Errorf("%+v", g)
			}
		})
	}
	out := quantized(t, src, convert.QuantizeOptions{})
	for _, bad := range []string{"{", "{}", "[]"} {
		write(t, filepath.Join(out, manifest.Name), []byte(bad))
		if _, err := verify.Integrity(context.Background(), open(t, out), verify.Options{}); !errors.Is(err, invalid.Input) {
			t.Errorf("manifest %s: %v", bad, err)
		}
	}
	if err := os.Remove(filepath.Join(out, manifest.Name)); err != nil {
		t.Fatal(err)
	}
	r := integrity(t, out)
	if g := gate(t, r, "digest"); !g.Passed || g.Skipped == "" {
		t.Errorf("without a manifest: %+v", g)
	}
}

func TestManyFailures(t *testing.T) {
	out := quantized(t, tiny(t), convert.QuantizeOptions{})
	n := 0
	edit(t, out, func(m *manifest.Manifest) {
		n = len(m.Tensors)
		for i := range m.Tensors {
			m.Tensors[i].BLAKE3 = ""
		}
	})
	g := gate(t, integrity(t, out), "digest")
	if len(g.Failures) != 21 || g.Value != float64(n) || !strings.HasSuffix(g.Failures[20], "more") {
		t.Errorf("%d failures of %d: value %v, %d lines, last %q", n, n, g.Value, len(g.Failures), g.Failures[len(g.Failures)-1])
	}
}

func TestStructure(t *testing.T) {
	codes := entry{"model.layers.0.mlp.up_proj.weight", safetensors.F8E4M3, []int64{2, 2}, make([]byte, 4)}
	scale := entry{codes.name + "_scale_inv", safetensors.F32, []int64{1, 1}, []byte{0, 0, 0x80, 0x3f}}
	for name, dir := range map[string]string{
		"no scale":  checkpoint(t, nil, codes),
		"no weight": checkpoint(t, nil, scale),
	} {
		if _, err := verify.Integrity(context.Background(), open(t, dir), verify.Options{}); !errors.Is(err, invalid.Input) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantFailed(t, integrity(t, checkpoint(t, nil, codes, scale)), nil)
	scale.shape, scale.data = []int64{3, 5}, make([]byte, 60)
	for i := range 15 {
		copy(scale.data[4*i:], []byte{0, 0, 0x80, 0x3f})
	}
	wantFailed(t, integrity(t, checkpoint(t, nil, codes, scale)), []string{"scales"}, scale.name, "fits no known layout")
}

// Scales of single groups may be zero, as some writers say of groups of zeros; of
// tensors that are not known nothing is assumed.
func TestForeign(t *testing.T) {
	m := "model.layers.0.mlp.experts.0.up_proj."
	nan := []byte{0xc0, 0x7f}
	dir := checkpoint(t, nil,
		entry{m + "weight_packed", safetensors.I32, []int64{2, 1}, make([]byte, 8)},
		entry{m + "weight_scale", safetensors.BF16, []int64{2, 1}, make([]byte, 4)},
		entry{"something.else", safetensors.BF16, []int64{1}, nan},
		entry{"nothing", safetensors.BF16, []int64{0, 3}, nil},
	)
	r := integrity(t, dir)
	wantFailed(t, r, nil)
	if g := gate(t, r, "shapes"); g.Skipped == "" {
		t.Errorf("shapes of an unknown architecture: %+v", g)
	}
	r = compare(t, dir, dir)
	wantFailed(t, r, nil)
	if r.Weights.Kept != 2 || r.Weights.Quantized != 1 {
		t.Errorf("%d tensors compared as they are and %d as codes, want 2 and 1", r.Weights.Kept, r.Weights.Quantized)
	}
	damage(t, dir, m+"weight_scale", func(p []byte) { copy(p[2:], nan) })
	wantFailed(t, integrity(t, dir), []string{"finite"}, m+"weight_scale")
}

func TestShapes(t *testing.T) {
	dir := tiny(t)
	path := filepath.Join(dir, "config.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	config["vocab_size"], config["num_hidden_layers"] = 65, 3
	if raw, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	write(t, path, raw)
	r := integrity(t, dir)
	wantFailed(t, r, []string{"shapes"})
	g := gate(t, r, "shapes")
	if g.Value < 2 || !strings.Contains(strings.Join(g.Failures, "\n"), `"lm_head.weight" (head): shape [64 136], the config gives [65 136]`) {
		t.Errorf("%+v", g)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "are missing") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

func TestCancelled(t *testing.T) {
	c := open(t, tiny(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := verify.Integrity(ctx, c, verify.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("before: %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	var calls atomic.Int64
	_, err := verify.Compare(ctx, c, c, verify.Options{Workers: 1, Progress: func(_, _ int64) { calls.Add(1); cancel() }})
	if !errors.Is(err, context.Canceled) || calls.Load() != 1 {
		t.Errorf("in the middle: %v after %d pieces", err, calls.Load())
	}
}

func TestProgress(t *testing.T) {
	src := tiny(t)
	a, b := open(t, src), open(t, quantized(t, src, convert.QuantizeOptions{}))
	var most, total atomic.Int64
	o := verify.Options{Progress: func(done, all int64) {
		total.Store(all)
		for {
			old := most.Load()
			if done <= old || most.CompareAndSwap(old, done) {
				return
			}
		}
	}}
	if _, err := verify.Compare(context.Background(), a, b, o); err != nil {
		t.Fatal(err)
	}
	if most.Load() != total.Load() || total.Load() != a.Bytes()+b.Bytes() {
		t.Errorf("%d of %d bytes, want %d", most.Load(), total.Load(), a.Bytes()+b.Bytes())
	}
}

// faulty breaks one way of reading.
type faulty struct {
	blockio.FS
	err error // nil: none yet
}

type faultyFile struct {
	blockio.File
	of *faulty
}

func (f *faulty) Open(name string) (blockio.File, error) {
	r, err := f.FS.Open(name)
	return faultyFile{r, f}, err
}

func (f faultyFile) ReadAt(p []byte, at int64) (int, error) {
	if f.of.err != nil {
		return 0, f.of.err
	}
	return f.File.ReadAt(p, at)
}

// through opens a folder that is reached through a file system.
func through(t *testing.T, fsys blockio.FS, dir string) *hf.Checkpoint {
	t.Helper()
	c, err := hf.OpenIn(t.Context(), store.Local(fsys, dir), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReadError(t *testing.T) {
	dir := tiny(t)
	broken := &faulty{FS: blockio.OS}
	c := through(t, broken, dir)
	broken.err = syscall.EIO
	_, err := verify.Integrity(context.Background(), c, verify.Options{})
	if !errors.Is(err, syscall.EIO) || errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.Files[0].Path) {
		t.Errorf("EIO: %v", err)
	}
	broken.err = io.EOF
	_, err = verify.Integrity(context.Background(), c, verify.Options{})
	if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("end of file: %v", err)
	}
	broken.err = nil
	if err := os.Truncate(c.Files[1].Path, c.Files[1].Size-1); err != nil {
		t.Fatal(err)
	}
	for what, look := range map[string]func() error{
		"integrity": func() error { _, err := verify.Integrity(context.Background(), c, verify.Options{}); return err },
		"weights": func() error {
			_, _, err := verify.Weights(context.Background(), c, c, verify.Options{})
			return err
		},
	} {
		if err := look(); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.Files[1].Name) {
			t.Errorf("%s of a truncated file: %v", what, err)
		}
	}
}
