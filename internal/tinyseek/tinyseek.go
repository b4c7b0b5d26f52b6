// Package tinyseek carries the model that quern demonstrates and tests itself
// on: 5.8M parameters with every part of DeepSeek-V3's architecture. Its README
// says how it was trained and what was measured on it; testdata holds reference
// outputs by the training code.
package tinyseek

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed model
var files embed.FS

// The texts that lie in the folder: quern's own source, one to calibrate on and
// another to verify with.
const (
	CalibrationText = "calibration.txt"
	VerifyText      = "verify.txt"
)

// Files returns the checkpoint folder: config, index, shards, tokenizer, and
// the texts calibration.txt and verify.txt.
func Files() fs.FS {
	sub, err := fs.Sub(files, "model")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

// Extract writes the checkpoint into dir, which it creates.
func Extract(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("creating folder %q: %w", dir, err)
	}
	src := Files()
	return fs.WalkDir(src, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(src, name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
			return fmt.Errorf("writing %q: %w", filepath.Join(dir, name), err)
		}
		return nil
	})
}
