package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	st "quern/formats/safetensors"
)

// What is odd and harms nothing is converted: with a remark where someone may
// want to know.
func TestOdd(t *testing.T) {
	many := make([]string, 30_000)
	for i := range many {
		many[i] = entry(fmt.Sprintf("model.layers.0.t%06d", i), "BF16", []int{0}, 0, 0)
	}
	good := goodFixture()
	nan := tensor("model.layers.0.odd.table", st.F32, []int64{4}, 0x7fc00000)
	index := func(metadata string) string {
		return fmt.Sprintf(`{"metadata": %s, "weight_map": {%q: "model.safetensors", %q: "model.safetensors"}}`, metadata, weight, norm)
	}
	for _, c := range []struct {
		name string
		in   folder
		say  string
	}{
		{"30000 tensors without elements", with(folder{"model.safetensors": string(container("{"+entry(weight, "BF16", []int{128, 128}, 0, 32768)+","+strings.Join(many, ",")+"}", good[0].data))}), "no rule places 30000 tensors"},
		{"header padded by a megabyte", with(folder{"model.safetensors": string(container("{"+entry(weight, "BF16", []int{128, 128}, 0, 32768)+"}"+strings.Repeat(" ", 1<<20), good[0].data))}), ""},
		{"scalar and empty tensors", with(folder{"model.safetensors": string(append(good[:2:2], tensor("model.a", st.F32, []int64{}, 1), tensor("model.b", st.BF16, []int64{0, 128}, 0)).file())}), "no rule places 2 tensors"},
		{"linear without elements", with(folder{"model.safetensors": string(append(good[:2:2], tensor("model.layers.1.mlp.up_proj.weight", st.BF16, []int64{0, 128}, 0)).file()), "config.json": `{"model_type": "llama"}`}), ""},
		{"NaN where no rule says that it is a weight", with(folder{"model.safetensors": string(append(good[:2:2], nan).file())}), "no rule places model.layers.0.odd.table"},
		{"name of 4096 bytes", with(folder{"model.safetensors": string(append(good[:2:2], tensor(strings.Repeat("n", 4096), st.U8, []int64{3}, 1)).file())}), ""},
		{"total size that is wrong", with(folder{indexFile: index(`{"total_size": 5}`)}), "total_size is 5"},
		{"total size that is text", with(folder{indexFile: index(`{"total_size": "lots"}`)}), ""},
		{"total size that is absurd", with(folder{indexFile: index(`{"total_size": 1e300}`)}), ""},
		{"total size that is negative", with(folder{indexFile: index(`{"total_size": -1}`)}), ""},
		{"index metadata of another kind", with(folder{indexFile: index(`[1, 2]`)}), ""},
		{"config of nothing", with(folder{"config.json": "{}"}), "not in the table"},
		{"config with null for numbers", with(folder{"config.json": strings.Replace(goodConfig, `"first_k_dense_replace": 1`, `"first_k_dense_replace": null, "rope_scaling": null, "quantization_config": null`, 1)}), ""},
		{"config that nests 60 deep", with(folder{"config.json": `{"model_type": "llama", "a": ` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "}"}), ""},
		{"a manifest of another run in the input", with(folder{"quern-manifest.json": "{"}), ""},
		{"partial files in the input", with(folder{"model.safetensors.partial": "x", "quern-state.partial": "y"}), "not copied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			(&hostile{in: c.in}).make(t, dir)
			r := quern(t, dir, "quantize", "in", "out")
			if r.code != 0 || !strings.Contains(strings.Join(strings.Fields(r.stderr), " "), c.say) {
				t.Errorf("exit code %d, want 0 and %q: %.2000s", r.code, c.say, r.stderr)
			}
			for _, again := range [][]string{{"verify", "--quiet", "--baseline", "in", "out"}, {"quantize", "--quiet", "out", "out2"}, {"inspect", "out"}, {"plan", "in"}} {
				if r := quern(t, dir, again...); r.code != 0 {
					t.Errorf("%s: exit code %d: %s%s", again[0], r.code, r.stdout, r.stderr)
				}
			}
		})
	}
}

// A fault in the data of one shard leaves those before it, and the state, so
// that nothing is lost when the fault is mended.
func TestFaultInALaterShard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := goodFixture()[:1]
	for i := range 5 {
		f = append(f, tensor(fmt.Sprintf("model.layers.%d.mlp.up_proj.weight", i), st.BF16, []int64{128, 128}, noise(st.BF16, uint64(i))...))
	}
	f[4].data[100], f[4].data[101] = 0xc0, 0x7f
	(&hostile{in: with(folder{"model.safetensors": string(f.file())})}).make(t, dir)
	args := []string{"quantize", "--quiet", "--workers", "1", "--shard-size", "20KB", "in", "out"}
	for range 2 { // the second time it fails sooner, with the same words
		r := quern(t, dir, args...)
		if r.code != exitInvalid {
			t.Errorf("exit code %d", r.code)
		}
		r.checkMessage(t, []string{"model.layers.3.mlp.up_proj.weight", "1 value is", "first at index 50 "})
	}
	for name, want := range map[string]bool{
		"quern-state.partial": true, "config.json": false, indexFile: false, "quern-manifest.json": false,
		"model-00005-of-00006.safetensors": false, "model-00005-of-00006.safetensors.partial": false,
	} {
		if _, err := os.Stat(filepath.Join(dir, "out", name)); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", name, err == nil, want)
		}
	}
}

// Results that cannot be written are no success.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no full disk here:", err)
	}
	defer full.Close()
	dir := t.TempDir()
	(&hostile{in: with(nil)}).make(t, dir)
	for _, args := range [][]string{{"inspect", "in"}, {"plan", "--json", "in"}, {"--help"}, {"--version"}} {
		var text strings.Builder
		cmd := exec.Command("quern", args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, full, &text
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != exitFailed || text.String() != "quern: writing to standard output: write /dev/stdout: no space left on device\n" {
			t.Errorf("%s: exit code %d, %q", args[0], code, text.String())
		}
	}
}
