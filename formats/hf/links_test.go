package hf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/formats/hf"
)

// Links of a hub cache are the checkpoint's own; one that leads to somebody else's file
// is told, by its name and where it leads.
func TestLinksOut(t *testing.T) {
	repo := filepath.Join(t.TempDir(), "models--a--b")
	snapshot, blobs := filepath.Join(repo, "snapshots", "main"), filepath.Join(repo, "blobs")
	for _, dir := range []string{snapshot, blobs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(snapshot, name)); err != nil {
			t.Skip("no links here")
		}
	}
	put := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(filepath.Join(blobs, "1"), "{}")
	put(filepath.Join(blobs, "2"), "\x02\x00\x00\x00\x00\x00\x00\x00{}")
	link("../../blobs/1", "config.json")
	link("../../blobs/2", "model.safetensors")
	link("config.json", "alias.json")
	c, err := hf.Open(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 0 {
		t.Errorf("a hub cache: %v", c.Warnings)
	}
	secret := filepath.Join(filepath.Dir(repo), "secret")
	put(secret, "mine")
	link(secret, "notes.txt")
	c, err = hf.Open(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(c.Warnings, "\n"); !strings.Contains(said, `"notes.txt" to `) || !strings.Contains(said, "secret") || strings.Contains(said, "config.json") {
		t.Errorf("a link out: %q", said)
	}
}
