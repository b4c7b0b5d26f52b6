package outfile_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/internal/invalid"
	"quern/internal/outfile"
)

// What begins as files of a kind do is that kind's; other kinds, what merely mentions
// quern, and what is cut within its mark are not.
func TestKinds(t *testing.T) {
	kinds := map[string]outfile.Kind{"calibration": outfile.Calibration, "trace": outfile.Trace, "outputs": outfile.Outputs, "page": outfile.Page, "json": outfile.JSON}
	length := "\x40\x01\x00\x00\x00\x00\x00\x00"
	for _, c := range []struct{ content, want string }{
		{length + `{"__metadata__":{"experts":"8","quern_calibration":"1"},"a":{}}`, "calibration"},
		{length + `{"__metadata__":{"experts":"8","quern_trace":"1"}}`, "trace"},
		{length + `{"__metadata__":{"compute":"float32","producer":"quern"}}`, "outputs"},
		{length + `{"__metadata__":{"producer":"transformers"}}`, ""},
		{length + `{"quern_calibration":{"dtype":"F32"}}`, ""},
		{"<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" content=\"quern 0.1\">", "page"},
		{"<!DOCTYPE html>\n<meta name=\"generator\" content=\"other\"><p>quern", ""},
		{string(outfile.MarkJSON("0.1", []byte("{\n  \"a\": 1\n}"))), "json"},
		{string(outfile.MarkJSON("0.1", []byte("{}"))), "json"},
		{"{\n  \"a\": \"quern\"\n}", ""},
		{"{\n  \"tool\": \"other\"\n}", ""},
		{"x", ""},
		{strings.Repeat("\x00", 5000), ""},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		for name, k := range kinds {
			err := outfile.File{Flag: "--out", Path: path, Kind: k}.Vacant()
			if (err == nil) != (name == c.want) || err != nil && !errors.Is(err, invalid.Input) {
				t.Errorf("%.60q as %s: %v", c.content, name, err)
			}
			if err := (outfile.File{Path: path, Kind: k}).Write([]byte("new")); (err == nil) != (name == c.want) {
				t.Errorf("%.60q as %s: written: %v", c.content, name, err)
			}
			want := c.content
			if name == c.want {
				want = "new"
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				t.Errorf("%.60q as %s: now %.60q (%v)", c.content, name, got, err)
			}
			if err := os.WriteFile(path, []byte(c.content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestMarkJSON(t *testing.T) {
	for _, s := range []string{"{}", "{\n  \"a\": 1\n}"} {
		var x map[string]any
		if err := json.Unmarshal(outfile.MarkJSON("0.1", []byte(s)), &x); err != nil || x["tool"] != "quern 0.1" {
			t.Error(s, x, err)
		}
	}
}

// A look leaves nothing behind, and a folder that the command makes need not be there.
func TestFolders(t *testing.T) {
	dir := t.TempDir()
	check := func(makes, path string) error {
		return outfile.Command{Makes: makes}.Check(outfile.File{Path: path, Kind: outfile.Page})
	}
	out := filepath.Join(dir, "a", "b", "out")
	for path, want := range map[string]bool{
		filepath.Join(dir, "r.html"): true, out + "-report.html": true, filepath.Join(dir, "a", "r.html"): true,
		filepath.Join(out, "r.html"): true, filepath.Join(out, "c", "r.html"): false, filepath.Join(dir, "d", "r.html"): false,
	} {
		if err := check(out, path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := check("", out+"-report.html"); !errors.Is(err, invalid.Input) {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); left != nil {
		t.Error("left behind:", left)
	}
}
