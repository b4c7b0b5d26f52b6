package hf

import (
	"errors"
	"strings"
	"testing"

	"quern/internal/invalid"
)

// Which files are the weights, where the index is missing or left over from another
// form of the checkpoint.
func TestWeightFiles(t *testing.T) {
	h := func(names ...string) string { return header(t, names...) }
	stale := indexOf(t, map[string]string{"a": "model-00001-of-00003.safetensors", "b": "model-00002-of-00003.safetensors", "c": "model-00003-of-00003.safetensors"})
	for _, c := range []struct {
		what    string
		files   map[string]string
		tensors int
		warning string
		refused string
	}{
		{
			what:    "a complete set without an index",
			files:   map[string]string{"model-00001-of-00002.safetensors": h("a"), "model-00002-of-00002.safetensors": h("b", "c")},
			tensors: 3, warning: "there is no model.safetensors.index.json",
		},
		{
			what:    "numbered from zero, with another name",
			files:   map[string]string{"x-0-of-2.safetensors": h("a"), "x-1-of-2.safetensors": h("b")},
			tensors: 2, warning: "x-0-of-2.safetensors … x-1-of-2.safetensors",
		},
		{
			what:    "and what is left of another",
			files:   map[string]string{"model-1-of-2.safetensors": h("a"), "model-2-of-2.safetensors": h("b"), "model-2-of-3.safetensors": h("a")},
			tensors: 2, warning: "the weights are model-1-of-2.safetensors … model-2-of-2.safetensors",
		},
		{
			what:    "one beside a stale index",
			files:   map[string]string{SingleName: h("a", "b"), IndexName: stale},
			tensors: 2, warning: "not used",
		},
		{
			what:    "a set beside a stale index",
			files:   map[string]string{"model-00001-of-00002.safetensors": h("a"), "model-00002-of-00002.safetensors": h("b"), IndexName: stale},
			tensors: 2, warning: "it names model-00001-of-00003.safetensors",
		},
		{
			what:    "an incomplete set",
			files:   map[string]string{"model-00001-of-00003.safetensors": h("a"), "model-00003-of-00003.safetensors": h("b")},
			refused: "2 .safetensors files",
		},
		{
			what:    "an incomplete set and its index",
			files:   map[string]string{"model-00001-of-00003.safetensors": h("a"), "model-00003-of-00003.safetensors": h("b"), IndexName: stale},
			refused: `it names "model-00002-of-00003.safetensors", which is not in the folder`,
		},
		{
			what:    "two sets",
			files:   map[string]string{"x-1-of-1.safetensors": h("a"), "y-1-of-1.safetensors": h("a")},
			refused: "x-1-of-1.safetensors and y-1-of-1.safetensors are both complete",
		},
		{
			what:    "two candidates beside a stale index",
			files:   map[string]string{SingleName: h("a"), "y-1-of-1.safetensors": h("a"), IndexName: stale},
			refused: "both whole",
		},
		{
			what:    "a set and a file with a name of its own",
			files:   map[string]string{"x-1-of-2.safetensors": h("a"), "x-2-of-2.safetensors": h("b"), "mtp.safetensors": h("c")},
			refused: "mtp.safetensors is there beside",
		},
		{
			what:    "a set that names a number twice",
			files:   map[string]string{"x-1-of-2.safetensors": h("a"), "x-01-of-2.safetensors": h("b")},
			refused: "2 .safetensors files",
		},
		{
			what:    "tensors that are in no file",
			files:   map[string]string{"model-1-of-1.safetensors": h("a"), IndexName: indexOf(t, map[string]string{"a": "model-1-of-1.safetensors", "ghost": "model-1-of-1.safetensors"})},
			refused: `tensor "ghost" is not in`,
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			c.files["config.json"] = config
			ck, err := Open(folder(t, c.files))
			if c.refused != "" {
				if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("%v, want %q in it", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if ck.Len() != c.tensors || ck.IndexName != "" || !strings.Contains(strings.Join(ck.Warnings, "; "), c.warning) {
				t.Errorf("%d tensors, index %q, warnings %q", ck.Len(), ck.IndexName, ck.Warnings)
			}
		})
	}
}

// Mistral's own layout is named, not taken for a folder without a config.
func TestNativeLayout(t *testing.T) {
	weights := header(t, "layers.0.attention.wq.weight")
	for _, files := range []map[string]string{
		{"params.json": "{}", "consolidated.safetensors": weights},
		{"params.json": "{}", "consolidated-00001-of-00001.safetensors": weights, "config.json": config},
	} {
		_, err := Open(folder(t, files))
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "params.json") || !strings.Contains(err.Error(), "Hugging Face form") {
			t.Errorf("%v", err)
		}
	}
	// Beside the Hugging Face form it is only not part of it.
	c, err := Open(folder(t, map[string]string{"params.json": "{}", "consolidated.safetensors": weights, "config.json": config, SingleName: header(t, "a")}))
	if err != nil || c.Len() != 1 {
		t.Errorf("%v, %v", c, err)
	}
}
