package manifest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// full is a manifest in which everything is set, tensors in no order.
func full() *manifest.Manifest {
	db := 31.25
	return &manifest.Manifest{
		Tool: "quern 9", Command: "quantize", Plan: strings.Repeat("ab", 32), Calibration: "cafe",
		Options: []plan.Option{{Name: "keep", Value: ""}, {Name: "scale-fmt", Value: "float"}},
		Input: plan.Input{
			Files:  []plan.InputFile{{Name: "model-1.safetensors", Size: 10, Header: "aa", Data: 8}, {Name: "model-2.safetensors", Size: 11, Header: "bb", Data: 8}},
			Config: "cc", Side: []plan.SideFile{{Name: "tokenizer.json", Size: 4}},
		},
		Tensors: []manifest.Tensor{
			{Name: "w.b", File: "model.safetensors", DType: safetensors.F8E4M3, Shape: []int64{3, 4}, BLAKE3: "01", Error: &manifest.Error{SQNR: &db, Relative: 1e-2, Max: math.SmallestNonzeroFloat64, Saturated: 1, Subnormal: 2, Zero: 3, ZeroTiles: 4}},
			{Name: "w.a", File: "model.safetensors", DType: safetensors.F8E4M3, Shape: []int64{128, 128}, BLAKE3: "02", Error: &manifest.Error{ZeroTiles: 1}, Uncovered: true},
			{Name: "", File: "model.safetensors", DType: safetensors.BF16, BLAKE3: "03"},
			{Name: "odd <&>\"\\\u2028é", File: "model.safetensors", DType: safetensors.I64, Shape: []int64{0}, BLAKE3: "04"},
		},
	}
}

func TestRoundTrip(t *testing.T) {
	for what, m := range map[string]*manifest.Manifest{
		"full": full(), "bare": {Tool: "t", Tensors: []manifest.Tensor{}}, "one tensor": {Tool: "t", Tensors: full().Tensors[:1]},
	} {
		raw, err := m.Encode()
		if err != nil || !json.Valid(raw) || raw[len(raw)-1] != '\n' {
			t.Fatalf("%s: %v\n%s", what, err, raw)
		}
		got, err := manifest.Decode(raw)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if !slices.IsSortedFunc(got.Tensors, func(a, b manifest.Tensor) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("%s: the tensors are not sorted", what)
		}
		if !reflect.DeepEqual(got, m) { // Encode has sorted m's
			t.Errorf("%s: %+v\nbecame %+v", what, m, got)
		}
		again, err := got.Encode()
		if err != nil || !bytes.Equal(raw, again) {
			t.Errorf("%s: encoded again it differs: %v", what, err)
		}
	}
}

// One line a tensor, for grep and diff; whole members of the rest, too.
func TestLines(t *testing.T) {
	raw, err := full().Encode()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, `"blake3"`) {
			n++
			if line = strings.TrimSuffix(strings.TrimSpace(line), ","); !json.Valid([]byte(line)) {
				t.Errorf("%s is not a tensor", line)
			}
		}
	}
	if n != len(full().Tensors) {
		t.Errorf("%d lines of tensors:\n%s", n, raw)
	}
	if !bytes.Contains(raw, []byte("\n  \"command\": \"quantize\",\n")) || !bytes.Contains(raw, []byte(`"sqnr_db":null`)) {
		t.Errorf("%s", raw)
	}
}

// Numbers that JSON cannot hold must not become a manifest.
func TestNotFinite(t *testing.T) {
	m := full()
	m.Tensors[0].Error.Relative = math.NaN()
	if raw, err := m.Encode(); err == nil {
		t.Errorf("%s", raw)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, raw := range []string{
		"", "{", "[]", "null", "{}", `{"tool": "t"}`, `{"tensors": []}`, `{"tool": "t", "tensors": {}}`, `{"tool": 1, "tensors": []}`,
		`{"tool": "t", "tensors": [{"dtype": "F99"}]}`, `{"tool": "t", "tensors": []} {}`,
	} {
		if _, err := manifest.Decode([]byte(raw)); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), manifest.Name) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// Every kind of difference is named, in words that say what to change back.
func TestDifference(t *testing.T) {
	if d := manifest.Difference(full(), full()); d != "" {
		t.Errorf("equal runs: %s", d)
	}
	for _, c := range []struct {
		change func(m *manifest.Manifest)
		says   string
	}{
		{func(m *manifest.Manifest) { m.Tool = "quern 10" }, `the program was "quern 9", is "quern 10"`},
		{func(m *manifest.Manifest) { m.Command = "convert" }, `the command was "quantize", is "convert"`},
		{func(m *manifest.Manifest) { m.Options[1].Value = "ue8m0" }, `--scale-fmt was "float", is "ue8m0"`},
		{func(m *manifest.Manifest) { m.Options[0].Value = "*.gate" }, `--keep was not set, is "*.gate"`},
		{func(m *manifest.Manifest) { m.Options = m.Options[:1] }, `--scale-fmt was "float", is not set`},
		{func(m *manifest.Manifest) { m.Options = append(m.Options, plan.Option{Name: "new", Value: "x"}) }, `--new was not set, is "x"`},
		{func(m *manifest.Manifest) { m.Input.Files[0].Header = "dd" }, `the input file "model-1.safetensors" is another one`},
		{func(m *manifest.Manifest) { m.Input.Files[1].Size++ }, `the input file "model-2.safetensors" is another one`},
		{func(m *manifest.Manifest) { m.Input.Files = m.Input.Files[:1] }, `the input lacks the file "model-2.safetensors"`},
		{func(m *manifest.Manifest) {
			m.Input.Files = append(m.Input.Files, plan.InputFile{Name: "model-3.safetensors"})
		}, `the input has a new file "model-3.safetensors"`},
		{func(m *manifest.Manifest) { m.Input.Config = "dd" }, "the input's config.json is another one"},
		{func(m *manifest.Manifest) { m.Input.Side[0].Size++ }, `the input file "tokenizer.json" is another one`},
		{func(m *manifest.Manifest) { m.Input.Side = nil }, `the input lacks the file "tokenizer.json"`},
		{func(m *manifest.Manifest) {
			m.Input.Side = append(m.Input.Side, plan.SideFile{Name: "LICENSE"})
		}, `the input has a new file "LICENSE"`},
		{func(m *manifest.Manifest) { m.Calibration = "" }, `the calibration file's digest was "cafe", is not set`},
		{func(m *manifest.Manifest) { m.Plan = "00" }, "the plan differs"},
	} {
		m := full()
		c.change(m)
		if d := manifest.Difference(full(), m); d != c.says {
			t.Errorf("%s, want %s", d, c.says)
		}
	}
	// What a run only learns at its end does not count: states have no tensors.
	m := full()
	m.Tensors = nil
	if d := manifest.Difference(full(), m); d != "" {
		t.Errorf("without tensors: %s", d)
	}
}
