package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"quern/formats/synth"
	"quern/store/hub/hubtest"
)

// serve puts a folder behind a hub, at hf://me/model.
func serve(t *testing.T, dir string) (size int64) {
	t.Helper()
	s := &hubtest.Server{Repo: "me/model", Revisions: []string{"main"}, Files: map[string][]byte{}, Delay: 5 * time.Millisecond}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		s.Files[e.Name()] = raw
		size += int64(len(raw))
	}
	s.Start(t)
	t.Setenv("HF_ENDPOINT", s.Hub.URL)
	t.Setenv("NO_PROXY", "*")
	return size
}

// What comes over a network is within --memory, as what lies on this machine is: ranges
// in flight and kept are a part of it.
func TestRemoteMemory(t *testing.T) {
	if raceDetector || testing.Short() {
		t.Skip("memory is measured without the race detector")
	}
	dir := t.TempDir()
	v := synth.V3{
		Hidden: 512, Layers: 5, Dense: 1, Experts: 40, Inter: 1024, MoEInter: 512, Vocab: 4096,
		Heads: 8, QLora: 128, KVLora: 64, ShardBytes: 100 << 20, Seed: 3,
	}
	if err := v.Write(filepath.Join(dir, "model")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ids.json"), []byte("[[1,2,3,4,5,6,7,8,9],[11,12,13,14]]"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HF_HOME", filepath.Join(dir, "home"))
	size := serve(t, filepath.Join(dir, "model"))
	const process = 40 << 20 // without any checkpoint, see TestVerifyMemory
	const largest, expert = 2 * 4096 * 512 * 2, 3 * 512 * 512 * 2
	check := func(memory int64, args ...string) {
		t.Helper()
		r := quernWithin(t, 10*time.Minute, dir, args...)
		if r.code != 0 {
			t.Fatalf("%s: exit %d: %s", args[0], r.code, r.stderr)
		}
		limit := memory
		if args[0] == "verify" {
			limit += 2*largest + expert + process
		}
		if r.peak > limit {
			t.Errorf("%s: %d MiB at the peak, limit %d MiB", args[0], r.peak>>20, limit>>20)
		}
		t.Logf("%s: checkpoint %d MiB, peak %d MiB of %d", args[0], size>>20, r.peak>>20, limit>>20)
	}
	check(128<<20, "quantize", "--quiet", "--memory", "128MiB", "--device", "cpu", "hf://me/model", "out")
	check(64<<20, "verify", "--quiet", "--gate", "kld_mean=off", "--gate", "kld_median=off", "--gate", "same_top=off", "--gate", "mtp_drop=off",
		"--memory", "64MiB", "--device", "cpu", "--ids", "ids.json", "--baseline", "hf://me/model", "out")
	size = serve(t, filepath.Join(dir, "out"))
	check(128<<20, "convert", "--to", "bf16", "--quiet", "--memory", "128MiB", "hf://me/model", "back")
}
