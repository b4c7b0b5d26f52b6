package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quern/calibrate/file"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/tinyseek"
)

// writeCalibration writes what might have been measured of the model in dir, made
// up from the names of modules; those in lost were never reached.
func writeCalibration(t *testing.T, path, dir string, seed uint64, lost ...string) {
	t.Helper()
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	id, err := file.Identify(c)
	if err != nil {
		t.Fatal(err)
	}
	info := file.Info{Tool: "test", Model: id, Texts: []file.Text{{Name: "made up", Tokens: 100, Sequences: 1, Longest: 100}}, Experts: c.Config.NumExperts}
	var list []safetensors.Tensor
	var data [][]byte
	add := func(name string, d safetensors.DType, shape []int64, raw []byte) {
		list = append(list, safetensors.Tensor{Name: name, DType: d, Shape: shape})
		data = append(data, raw)
	}
	blocks := map[string]bool{}
	for ref, x := range c.Classified() {
		if !x.Role.Linear() || x.Param != "weight" || slices.Contains(lost, x.Module) {
			continue
		}
		input := x.Module
		if x.Fused != "" {
			input = x.Fused
		}
		h := fnv.New64a()
		_, _ = io.WriteString(h, input)
		r := rand.New(rand.NewPCG(h.Sum64(), seed))
		var sums []byte
		for range ref.Tensor.Shape[1] {
			sums = binary.LittleEndian.AppendUint64(sums, math.Float64bits(math.Exp(3*r.NormFloat64())))
		}
		add(file.InputAmax.Name(x.Module), safetensors.F32, []int64{}, binary.LittleEndian.AppendUint32(nil, math.Float32bits(1+r.Float32())))
		add(file.InputSquares.Name(x.Module), safetensors.F64, ref.Tensor.Shape[1:], sums)
		add(file.InputCount.Name(x.Module), safetensors.I64, []int64{}, binary.LittleEndian.AppendUint64(nil, 50))
		block := x.Module[:strings.LastIndexByte(x.Module, '.')]
		if x.Role == model.Attention && !blocks[block] {
			blocks[block] = true
			add(file.CacheName(block, "kv_latent"), safetensors.F32, []int64{}, binary.LittleEndian.AppendUint32(nil, math.Float32bits(1+r.Float32())))
		}
	}
	var b bytes.Buffer
	err = safetensors.Write(&b, list, info.Metadata(), func(i int, w io.Writer) error {
		_, err := w.Write(data[i])
		return err
	})
	if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// From the command line: what a calibration is used for, what is told of it, and
// that the result is a sound checkpoint.
func TestQuantizeWithCalibration(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	if err := tinyseek.Extract(in); err != nil {
		t.Fatal(err)
	}
	const lost = "model.layers.2.mlp.experts.7."
	writeCalibration(t, filepath.Join(dir, "c"), in, 1, lost+"gate_proj", lost+"up_proj", lost+"down_proj")
	ok := func(args ...string) answer {
		t.Helper()
		r := quern(t, dir, args...)
		if r.code != 0 {
			t.Fatalf("%q: exit code %d: %s", args, r.code, r.stderr)
		}
		return r
	}
	type use struct {
		Calibration *calibrated
		Notes       []string
	}
	told := func(r answer) (u use) {
		t.Helper()
		if err := json.Unmarshal([]byte(r.stdout), &u); err != nil {
			t.Fatal(err)
		}
		if u.Calibration == nil {
			t.Fatalf("nothing is said of the calibration: %s", r.stdout)
		}
		return u
	}
	all := []string{"--calibration", "c", "--act-scales", "static", "--kv-scales"}
	for _, r := range []answer{ok(slices.Concat([]string{"plan", "--json"}, all, []string{"in"})...), ok(slices.Concat([]string{"quantize", "--json"}, all, []string{"in", "out"})...)} {
		u := told(r)
		if c := u.Calibration; c.Weighted != 229 || c.InputScales != 232 || c.CacheScales != 10 || len(c.Uncovered) != 3 || c.Uncovered[0][:len(lost)] != lost || len(c.Digest) != 64 {
			t.Errorf("%+v", c)
		}
		if notes := strings.Join(u.Notes, "\n"); !strings.Contains(notes, "never reached 3 modules") || !strings.Contains(notes, "vLLM and SGLang refuse") {
			t.Errorf("notes: %s", notes)
		}
	}
	r := ok(slices.Concat([]string{"plan"}, all, []string{"in"})...)
	for _, want := range []string{"232 scales in F32", "242 scales of activations in F32", "measured 229 searches weighted by channel, 232 scales of activations, 10 scales of keys", "3 modules"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("the plan does not say %q:\n%s", want, r.stdout)
		}
	}
	r = ok(slices.Concat([]string{"plan", "--tensors"}, all, []string{"in"})...)
	if !regexp.MustCompile(`(?m)^model\.layers\.4\.self_attn\.k_proj\.k_scale +constant +F32 +F32 +\S+ +model\.safetensors +scale$`).MatchString(r.stdout) {
		t.Errorf("%s", r.stdout)
	}
	// Such a checkpoint is sound, also to the verifier and the runner.
	ok("verify", "--quiet", "out")
	ok("verify", "--quiet", "--baseline", "in", "--tokens", "64", "out")
	ok("run", "--quiet", "--prompt", "a", "--max-tokens", "2", "out")
	if r := ok(slices.Concat([]string{"quantize"}, all, []string{"in", "out"})...); !strings.Contains(r.stdout, "already complete") {
		t.Errorf("%s", r.stdout)
	}
	// The search alone is what --calibration means where nothing else is said.
	if c := told(ok("quantize", "--json", "--calibration", "c", "in", "weighted")).Calibration; c.Weighted != 229 || c.InputScales+c.CacheScales != 0 || len(c.Uncovered) != 3 {
		t.Errorf("%+v", c)
	}
	if c := told(ok("quantize", "--json", "--search", "none", "--calibration", "c", "--kv-scales", "in", "caches")).Calibration; c.Weighted+c.InputScales != 0 || c.CacheScales != 10 || len(c.Uncovered) != 0 {
		t.Errorf("%+v", c)
	}

	writeCalibration(t, filepath.Join(dir, "other"), in, 2)
	raw, err := os.ReadFile(filepath.Join(in, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "stranger"), os.DirFS(in)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "stranger", "config.json"), bytes.Replace(raw, []byte(`"rope_theta"`), []byte(`"rope_thetas"`), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	writeCalibration(t, filepath.Join(dir, "strange"), filepath.Join(dir, "stranger"), 1)
	for _, x := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"--search", "weighted", "in", "new"}, exitUsage, []string{"--search weighted needs --calibration FILE"}},
		{[]string{"--act-scales", "static", "in", "new"}, exitUsage, []string{"--act-scales static needs --calibration FILE"}},
		{[]string{"--kv-scales", "in", "new"}, exitUsage, []string{"--kv-scales needs --calibration FILE"}},
		{[]string{"--search", "mse", "--calibration", "c", "in", "new"}, exitUsage, []string{"--calibration c: nothing goes by it"}},
		{[]string{"--to", "mxfp4", "--calibration", "c", "in", "new"}, exitUsage, []string{"nothing goes by it; give --act-scales static or --kv-scales"}},
		{[]string{"--act-scales", "fixed", "in", "new"}, exitUsage, []string{"dynamic or static"}},
		{[]string{"--calibration", "none", "in", "new"}, exitInvalid, []string{`"none"`}},
		{[]string{"--calibration", "in/config.json", "in", "new"}, exitInvalid, []string{`"in/config.json"`}},
		{[]string{"--calibration", "strange", "in", "new"}, exitInvalid, []string{"of another model", "deepseek_v3-4x256-"}},
		{slices.Concat(all, []string{"--calibration", "other", "in", "out"}), exitInvalid, []string{"the calibration file's digest was"}},
	} {
		for _, command := range []string{"quantize", "plan"} {
			if command == "plan" && x.args[len(x.args)-1] == "out" {
				continue
			}
			r := quern(t, dir, slices.Concat([]string{command, "--quiet"}, x.args)...)
			if r.code != x.code {
				t.Errorf("%s %q: exit code %d, want %d", command, x.args, r.code, x.code)
			}
			r.checkMessage(t, x.says)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("what was refused has made a folder")
	}
}
