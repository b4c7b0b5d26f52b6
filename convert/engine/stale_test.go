package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/convert/engine"
	"quern/formats/hf"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
)

// scramble changes every BF16 weight of some files in place and leaves sizes, headers
// and times as they were: the fine-tune that the same exporter saved again.
func scramble(t *testing.T, files ...*hf.File) {
	t.Helper()
	for _, f := range files {
		st, err := os.Stat(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		for i := f.Header.DataOffset; i < int64(len(raw)); i += 2 {
			raw[i] ^= 1
		}
		if err := os.WriteFile(f.Path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(f.Path, st.ModTime(), st.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
}

// A finished folder is complete for the contents that it was made from, and for no
// others.
func TestCompleteForTheseWeights(t *testing.T) {
	in, out := filepath.Join(temp(t), "in"), filepath.Join(temp(t), "out")
	restore(t, in, folder(t, tiny()))
	ck, p := mustOpen(t, in, tinyShard)
	convertTo(t, ck, p, out, quick)
	// A copy is as good as the original.
	copied := filepath.Join(temp(t), "copy")
	restore(t, copied, folder(t, in))
	ck2, p2 := mustOpen(t, copied, tinyShard)
	if _, err := start(ck2, p2, out, quick); !errors.Is(err, engine.ErrComplete) {
		t.Errorf("a copy: %v", err)
	}
	for what, change := range map[string]func(in string, ck *hf.Checkpoint) (file string){
		"all weights": func(_ string, ck *hf.Checkpoint) string { scramble(t, ck.Files...); return ck.Files[0].Name },
		"one file":    func(_ string, ck *hf.Checkpoint) string { scramble(t, ck.Files[2]); return ck.Files[2].Name },
		"a side file": func(in string, _ *hf.Checkpoint) string {
			if err := os.WriteFile(filepath.Join(in, "tokenizer.json"), []byte(`{"version": "2.0"}`), 0o644); err != nil {
				t.Fatal(err)
			}
			return "tokenizer.json"
		},
	} {
		in := filepath.Join(temp(t), "in")
		restore(t, in, folder(t, tiny()))
		ck, _ := mustOpen(t, in, tinyShard)
		file := change(in, ck)
		ck, p := mustOpen(t, in, tinyShard)
		before := folder(t, out)
		if _, err := start(ck, p, out, quick); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", what, err)
		}
		sameFiles(t, what, folder(t, out), before)
		want := convertTo(t, ck, p, filepath.Join(temp(t), "out"), quick)
		got := filepath.Join(temp(t), "out")
		restore(t, got, before)
		sameFiles(t, what+", overwritten", convertTo(t, ck, p, got, func(o *engine.Options) { quick(o); o.Overwrite = true }), want)
	}
	// A manifest that does not tell is no proof.
	raw := folder(t, out)["quern-manifest.json"]
	i, j := strings.Index(raw, `  "content"`), strings.Index(raw, `  "plan"`)
	if err := os.WriteFile(filepath.Join(out, "quern-manifest.json"), []byte(raw[:i]+raw[j:]), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := start(ck, p, out, quick); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "does not tell") {
		t.Errorf("without contents: %v", err)
	}
}

// Behind a kill, shards whose input was written to since are made again, exactly
// those, and the output is of one model.
func TestResumeMixesNothing(t *testing.T) {
	in := filepath.Join(temp(t), "in")
	restore(t, in, folder(t, tiny()))
	ck, p := mustOpen(t, in, tinyShard)
	begun := killed(t, ck, p)
	first := p.Tensors[p.Shards[0].Tensors[0]].Source.File
	scramble(t, ck.Files[first])
	ck, p = mustOpen(t, in, tinyShard)
	stale := 0
	for _, s := range p.Shards[:3] {
		for _, i := range s.Tensors {
			if p.Tensors[i].Source.File == first {
				stale++
				break
			}
		}
	}
	if stale == 0 || stale == 3 {
		t.Fatal("the test wants shards of both kinds")
	}
	want := convertTo(t, ck, p, filepath.Join(temp(t), "out"), quick)
	out := filepath.Join(temp(t), "out")
	restore(t, out, begun)
	fsys := &faultfs.FS{NoSync: true}
	r, err := start(ck, p, out, on(fsys))
	if err != nil || r.Resumed != 3-stale {
		t.Errorf("%+v, %v; want %d kept", r, err, 3-stale)
	}
	sameFiles(t, "gone on", folder(t, out), want)
}
