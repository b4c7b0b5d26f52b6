package evaluation

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"testing"

	"quern/corpus"
	"quern/formats/synth"
	"quern/internal/tinyseek"
)

// peakCase is an evaluation whose memory is measured in a process of its own.
type peakCase struct {
	Dir     string
	Memory  int64
	Texts   [][]int
	Compare bool // with itself, not alone
}

// TestPeakChild is what the processes of TestPeak run.
func TestPeakChild(t *testing.T) {
	raw, err := os.ReadFile(os.Getenv("QUERN_TEST_PEAK_CASE"))
	if err != nil {
		t.Skip("runs as a process of TestPeak")
	}
	var c peakCase
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	debug.SetMemoryLimit(c.Memory) // as the commands do
	texts := make([]corpus.Text, len(c.Texts))
	for i, ids := range c.Texts {
		texts[i] = corpus.Text{Name: strconv.Itoa(i), IDs: ids}
	}
	o, m := Options{Memory: c.Memory, TempDir: t.TempDir(), Workers: 2}, open(t, c.Dir)
	if c.Compare {
		var r *Comparison
		if r, _, err = Compare(context.Background(), m, open(t, c.Dir), texts, corpus.Whole(texts), o); err == nil && (r.Metrics.KLDMax != 0 || r.Routing.Identical != 1) {
			t.Errorf("a model differs from itself by %v, and chooses %v of its experts", r.Metrics.KLDMax, r.Routing.Identical)
		}
	} else {
		_, err = Run(context.Background(), m, texts, corpus.Whole(texts), o)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kib int64
		if n, _ := fmt.Sscanf(s.Text(), "VmHWM: %d kB", &kib); n == 1 && !raceEnabled {
			if t.Logf("peak %d MiB of %d", kib>>10, c.Memory>>20); kib<<10 > c.Memory {
				t.Errorf("%d MiB were resident at most, more than %d", kib>>10, c.Memory>>20)
			}
		}
	}
}

// The memory of a process that compares models is what it is told, however many tokens
// there are and however long their texts: of hidden states, attention, choices of experts,
// figures and output heads. Under the race detector, whose own memory counts, the same is
// run and not measured.
func TestPeak(t *testing.T) {
	tiny := t.TempDir()
	if err := os.CopyFS(tiny, tinyseek.Files()); err != nil {
		t.Fatal(err)
	}
	wide := synth.V3{Hidden: 256, Layers: 2, Dense: 1, Experts: 4, Inter: 256, MoEInter: 64, Vocab: 512, Heads: 64, QLora: 64, KVLora: 64, ShardBytes: 1 << 30}
	heavy := synth.V3{Hidden: 1792, Layers: 2, Dense: 1, Experts: 4, Inter: 128, MoEInter: 64, Vocab: 512, Heads: 128, QLora: 384, KVLora: 128, ShardBytes: 1 << 30}
	v3 := synth.Released()
	v3.Layers, v3.Dense, v3.Experts, v3.Inter, v3.MoEInter, v3.Vocab, v3.Sparse = 2, 1, 32, 512, 128, 4096, false
	for _, c := range []struct {
		name  string
		shape *synth.V3 // nil: the embedded model
		peakCase
		texts, tokens int
		large         bool
	}{
		{"one text, wide heads", &wide, peakCase{Memory: 128 << 20}, 1, 1500, false},
		{"many tokens", nil, peakCase{Memory: 64 << 20, Compare: true}, 24, 256, false},
		{"200,000 tokens", nil, peakCase{Memory: 512 << 20, Compare: true}, 196, 1024, true},
		{"heavy weights", &heavy, peakCase{Memory: 256 << 20}, 1, 1500, true},
		{"one text of V3's width", &v3, peakCase{Memory: 1 << 30}, 1, 4096, true},
		{"12,288 tokens of V3's width", &v3, peakCase{Memory: 2 << 30, Compare: true}, 12, 1024, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.large && os.Getenv("QUERN_TEST_LARGE") == "" {
				t.Skip("takes minutes; set QUERN_TEST_LARGE=1")
			}
			c.Dir = tiny
			if c.shape != nil {
				c.Dir = t.TempDir()
				if err := c.shape.Write(c.Dir); err != nil {
					t.Fatal(err)
				}
			}
			for i := range c.texts {
				c.Texts = append(c.Texts, random(uint64(i), c.tokens, 500))
			}
			raw, err := json.Marshal(c.peakCase)
			if err != nil {
				t.Fatal(err)
			}
			file := t.TempDir() + "/case.json"
			if err := os.WriteFile(file, raw, 0o644); err != nil {
				t.Fatal(err)
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self, "-test.run=^TestPeakChild$", "-test.v")
			cmd.Env = append(os.Environ(), "QUERN_TEST_PEAK_CASE="+file)
			out, err := cmd.CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
