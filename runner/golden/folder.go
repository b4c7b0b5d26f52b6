package golden

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Folder is the path of a checkpoint of testdata with all of its files. Families that
// have the same weights keep them once: the file elsewhere.json of the others says by
// name which files lie in a folder beside, and Folder makes a copy of all of them that
// lasts as long as the test.
func Folder(t testing.TB, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "elsewhere.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return dir
	}
	elsewhere := map[string]string{}
	if err == nil {
		err = json.Unmarshal(raw, &elsewhere)
	}
	whole := filepath.Join(t.TempDir(), filepath.Base(dir))
	if err == nil {
		err = os.CopyFS(whole, os.DirFS(dir))
	}
	if err == nil {
		err = os.Remove(filepath.Join(whole, "elsewhere.json"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range elsewhere {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(from)))
		if err == nil {
			err = os.WriteFile(filepath.Join(whole, name), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return whole
}
