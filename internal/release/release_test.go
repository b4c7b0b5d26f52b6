package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Neither order, time nor permissions of the files leave a trace in an archive.
func TestArchive(t *testing.T) {
	at := time.Unix(1_800_000_000, 0).UTC()
	for _, kind := range []string{".tar.gz", ".zip"} {
		var packed [][]byte
		for i, umask := range []os.FileMode{0o644, 0o600} {
			dir := filepath.Join(t.TempDir(), "quern_1")
			names := []string{"quern", "docs/a.md", "LICENSE"}
			if i == 1 {
				names = []string{"LICENSE", "quern", "docs/a.md"}
			}
			for _, n := range names {
				p := filepath.Join(dir, n)
				if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
					t.Fatal(err)
				}
				mode := umask
				if n == "quern" {
					mode |= 0o100
				}
				if err := os.WriteFile(p, []byte("content of "+n), mode); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(p, at, at.Add(time.Duration(i)*time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			out := filepath.Join(t.TempDir(), "out"+kind)
			if err := archive(out, dir, at); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			packed = append(packed, raw)
		}
		if !bytes.Equal(packed[0], packed[1]) {
			t.Errorf("%s: the same files make different archives", kind)
		}
	}
	if err := archive(filepath.Join(t.TempDir(), "out.rar"), t.TempDir(), at); err == nil {
		t.Error("an archive of an unknown kind was written")
	}
}

// What the linker wrote into a program is found, each module with a licence.
func TestModules(t *testing.T) {
	if _, err := command("go", "env", "GOROOT"); err != nil {
		t.Skip("no go command here:", err)
	}
	self := filepath.Join(t.TempDir(), "quern")
	if _, err := command("go", "build", "-o", self, "quern/cmd/quern"); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := licences(&text, self); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  Go 1.", "BSD-3-Clause", "golang.org/x/sys", "Copyright"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q among the licences", want)
		}
	}
	var raw [2]bytes.Buffer
	for i := range raw {
		if err := sbom(&raw[i], self, "1.2.3", time.Unix(1_800_000_000, 0).UTC()); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(raw[0].Bytes(), raw[1].Bytes()) {
		t.Error("two SBOMs of one binary differ")
	}
	var b bom
	if err := json.Unmarshal(raw[0].Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if b.Metadata.Timestamp != "2027-01-15T08:00:00Z" || len(b.Components) < 2 || len(b.DependsOn[0].On) != len(b.Components) {
		t.Errorf("%+v", b)
	}
	for _, c := range b.Components {
		if c.Licences[0].Licence.ID == "" || c.Version == "" {
			t.Errorf("%+v", c)
		}
	}
}

func TestUnknownLicence(t *testing.T) {
	dir := t.TempDir()
	m := &module{path: "example.com/x", version: "v1.0.0"}
	if err := m.findLicence(dir); err == nil {
		t.Error("a module without a licence passes")
	}
	if err := os.WriteFile(filepath.Join(dir, "LICENSE"), []byte("All rights reserved."), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := m.findLicence(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a licence that is in no table passes: %v", err)
	}
}
