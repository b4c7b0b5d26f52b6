package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"quern/formats/synth"
)

// A checkpoint twenty times larger than --memory is evaluated within what cannot be
// avoided: the two largest matrices, an expert, the process itself.
func TestVerifyMemory(t *testing.T) {
	if raceDetector || testing.Short() {
		t.Skip("memory is measured without the race detector")
	}
	dir := filepath.Join(t.TempDir(), "model")
	v := synth.V3{
		Hidden: 512, Layers: 6, Dense: 1, Experts: 40, Inter: 1024, MoEInter: 512, Vocab: 4096,
		Heads: 8, QLora: 128, KVLora: 64, ShardBytes: 200 << 20, Seed: 3,
	}
	if err := v.Write(dir); err != nil {
		t.Fatal(err)
	}
	var size int64
	files, err := filepath.Glob(dir + "/*.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		fi, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += fi.Size()
	}
	const memory = 16 << 20
	if size < 20*memory {
		t.Fatalf("the checkpoint has %d MiB", size>>20)
	}
	ids := []byte("[")
	for i := range 2000 {
		sep := ","
		if i%200 == 0 {
			sep = "],["
		}
		ids = fmt.Appendf(ids, "%s%d", sep, (i*i+7*i)%4096)
	}
	ids = append(append([]byte("["), ids[len("[],"):]...), "]]"...)
	if err := os.WriteFile(dir+"/ids.json", ids, 0o644); err != nil {
		t.Fatal(err)
	}
	r := quernWithin(t, 10*time.Minute, dir, "verify", "--json", "--memory", "16MiB", "--device", "cpu", "--ids", dir+"/ids.json", dir)
	if r.code != 0 {
		t.Fatalf("exit %d: %s", r.code, r.stderr)
	}
	largest := int64(2 * 4096 * 512 * 2)
	expert := int64(3 * 512 * 512 * 2)
	// What the process takes without any checkpoint, its tables and its stacks.
	const process = 40 << 20
	if limit := memory + 2*largest + expert + process; r.peak > limit {
		t.Errorf("%d MiB at the peak, limit %d MiB", r.peak>>20, limit>>20)
	}
	t.Logf("checkpoint %d MiB, peak %d MiB", size>>20, r.peak>>20)
}

// The bound is kept where it is as small as it may be, drivers of devices included: those
// are not loaded unasked then.
func TestQuantizeMemory(t *testing.T) {
	if raceDetector || testing.Short() {
		t.Skip("memory is measured without the race detector")
	}
	dir := t.TempDir()
	v := synth.V3{
		Hidden: 512, Layers: 3, Dense: 1, Experts: 40, Inter: 1024, MoEInter: 512, Vocab: 4096,
		Heads: 8, QLora: 128, KVLora: 64, ShardBytes: 200 << 20, Seed: 3,
	}
	if err := v.Write(filepath.Join(dir, "model")); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"fp8", "nvfp4"} {
		r := quernWithin(t, 10*time.Minute, dir, "quantize", "--quiet", "--to", to, "--requantize", "--memory", "80MiB", "model", to)
		if r.code != 0 {
			t.Fatalf("%s: exit %d: %s", to, r.code, r.stderr)
		}
		if t.Logf("%s: peak %d MiB", to, r.peak>>20); r.peak > 80<<20 {
			t.Errorf("%s: %d MiB at the peak of 80", to, r.peak>>20)
		}
	}
}
