package model

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/formats/safetensors"
	"quern/internal/strictjson"
)

var update = flag.Bool("update", false, "write the verdicts of testdata/roles anew; review the difference against docs")

// testConfig reads testdata/config/NAME.json.
func testConfig(t testing.TB, name string) *Config {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "config", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := strictjson.Parse(data, strictjson.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseConfig(&v)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// parseShape reads "[2,3]".
func parseShape(t testing.TB, s string) []int64 {
	t.Helper()
	v, err := strictjson.Parse([]byte(s), strictjson.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var shape []int64
	for i := range v.Elems {
		n, _ := v.Elems[i].Int64()
		shape = append(shape, n)
	}
	return shape
}

// verdict renders what Classify says, leaving out what is as usual.
func verdict(t Tensor) string {
	var b strings.Builder
	b.WriteString(t.Role.String())
	add := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	if t.Part != "" {
		add("%s", t.Part)
	}
	if t.Layer >= 0 {
		add("layer=%d", t.Layer)
	}
	if t.Expert >= 0 {
		add("expert=%d", t.Expert)
	}
	for _, f := range []struct {
		set  bool
		name string
	}{
		{t.MTP, "mtp"},
		{t.Fused3D, "3d"},
		{t.Transposed, "transposed"},
		{t.Interleaved, "interleaved"},
		{t.ByExpert, "by-expert"},
	} {
		if f.set {
			add("%s", f.name)
		}
	}
	if t.Weights != 1 {
		add("weights=%d", t.Weights)
	}
	if t.Fused != "" {
		add("with=%s", t.Fused)
	}
	if t.ScaleOf != "" {
		add("of=%s", t.ScaleOf)
	}
	if t.Quantize {
		add("QUANTIZE")
	} else {
		add("keep: %s", t.Why)
	}
	return b.String()
}

// TestRoles holds the verdict about every tensor name of every family. The files
// have a line for each name: name, dtype, shape, then the verdict, which -update
// writes. They were reviewed against the rules for block FP8.
func TestRoles(t *testing.T) {
	files, err := filepath.Glob("testdata/roles/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			a := Lookup(testConfig(t, name))
			if a.Known() == (name == "generic") {
				t.Errorf("Known() = %v", a.Known())
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			for line := range strings.Lines(string(data)) {
				given, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " => ")
				f := strings.Fields(given)
				dtype, err := safetensors.ParseDType(f[1])
				if err != nil {
					t.Fatal(err)
				}
				got := a.Classify(f[0], dtype, parseShape(t, f[2]))
				if got.Name() != f[0] {
					t.Errorf("Name() = %q of %q", got.Name(), f[0])
				}
				if got.Quantize != (got.Why == "") {
					t.Errorf("%s: Quantize %v, Why %q", f[0], got.Quantize, got.Why)
				}
				fmt.Fprintf(&out, "%s => %s\n", given, verdict(got))
				if !*update && !strings.HasSuffix(line, " => "+verdict(got)+"\n") {
					t.Errorf("%s\n got %s", strings.TrimSuffix(line, "\n"), verdict(got))
				}
			}
			if *update {
				if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
