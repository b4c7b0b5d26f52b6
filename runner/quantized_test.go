package runner_test

import (
	"path/filepath"
	"testing"

	"quern/runner"
)

// Released quantized forms, read as they lie, against logits of their weights in float32
// (torch): MXFP4 of gpt-oss, INT4 of Kimi K2.5, FP8 by tensor and by channel, MXFP8 and
// NVFP4.
func TestQuantizedGoldens(t *testing.T) {
	dirs, err := filepath.Glob("testdata/quantized/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ref := readReference(t, dir+"/reference.safetensors")
			checkOutputs(t, dir, ref, runner.Options{})
			checkOutputs(t, dir, ref, runner.Options{Memory: 1, TempDir: t.TempDir(), Workers: 1})
		})
	}
}
