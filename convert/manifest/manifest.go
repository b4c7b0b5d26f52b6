// Package manifest reads and writes quern-manifest.json: what a checkpoint was
// made from, with which options, and for every tensor a digest of its bytes
// and, where it was quantized, how good it is.
//
// A manifest holds no time, path, host, device or worker count. A tensor's
// digest is its identity whatever file it lies in, so regrouping is proved
// lossless by comparing two manifests.
package manifest

import (
	"bytes"
	"encoding/json"
	"sort"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// Name of the file in a checkpoint folder.
const Name = hf.ManifestName

// Manifest is the file's content.
type Manifest struct {
	Tool        string        `json:"tool"`
	Command     string        `json:"command"`
	Options     []plan.Option `json:"options"`
	Input       plan.Input    `json:"input"`
	Content     []Content     `json:"content,omitempty"`     // of the input files
	Plan        string        `json:"plan"`                  // digest of the plan that was executed
	Calibration string        `json:"calibration,omitempty"` // digest of the calibration file, if one was used
	Beside      []string      `json:"beside,omitempty"`      // files that were made beside the shards
	Tensors     []Tensor      `json:"tensors"`               // by name
}

// Content tells what was in an input file, as far as samples do.
type Content struct {
	Name   string `json:"name"`   // as in Input
	Sample string `json:"sample"` // BLAKE3-256 of parts of its data, hexadecimal
}

// Tensor is an output tensor.
type Tensor struct {
	Name   string            `json:"name"`
	File   string            `json:"file"`
	DType  safetensors.DType `json:"dtype"`
	Shape  []int64           `json:"shape"`
	BLAKE3 string            `json:"blake3"` // BLAKE3-256 of its bytes, hexadecimal
	Error  *Error            `json:"error,omitempty"`
	Cast   *Cast             `json:"cast,omitempty"` // of codes that were made from other codes
	// Uncovered: the calibration did not reach the module (plan.Tensor.Uncovered).
	Uncovered bool `json:"uncovered,omitempty"`
}

// Error says what quantization did to a tensor, w against its dequantized form.
type Error struct {
	SQNR      *float64 `json:"sqnr_db"`        // 10·log10(Σw²/Σ(w−ŵ)²); null when exact
	Relative  float64  `json:"relative_error"` // √(Σ(w−ŵ)²/Σw²)
	Max       float64  `json:"max_abs_error"`  // max |w−ŵ|
	Saturated int64    `json:"saturated"`      // weights with |w/s| > 464, which would round beyond 448
	Subnormal int64    `json:"subnormal"`      // codes ±1…±7
	Zero      int64    `json:"zero"`           // zero codes from weights that are not zero
	ZeroTiles int64    `json:"zero_tiles"`     // tiles, or groups, of zeros only
	// LowGroups are NVFP4's groups that lie more than 28672 times below what the
	// tensor's scale reaches: their scales have lost bits.
	LowGroups int64 `json:"low_groups,omitempty"`
}

// Cast says what became of the values of codes that another scheme was to stand for
// without loss. Both sides were decoded and compared, bit for bit.
type Cast struct {
	Groups      int64 `json:"groups"`      // that shared a scale
	Requantized int64 `json:"requantized"` // did not fit, and got codes anew
	Changed     int64 `json:"changed"`     // hold a value that is not what it was
}

// Encode returns the file's bytes: one line a tensor, so that diff and grep
// work on it. Tensors are sorted by name.
func (m *Manifest) Encode() ([]byte, error) {
	sort.Slice(m.Tensors, func(i, j int) bool { return m.Tensors[i].Name < m.Tensors[j].Name })
	head := *m
	head.Tensors = nil
	var b bytes.Buffer
	raw, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return nil, err
	}
	b.Grow(len(raw) + 512*len(m.Tensors)) // a line takes less; growing would hold the text twice
	b.Write(bytes.TrimSuffix(raw, []byte("null\n}")))
	b.WriteString("[\n")
	for i := range m.Tensors {
		line, err := json.Marshal(&m.Tensors[i])
		if err != nil {
			return nil, err
		}
		b.WriteString("    ")
		b.Write(line)
		if i < len(m.Tensors)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("  ]\n}\n")
	return b.Bytes(), nil
}

// Decode parses a manifest.
func Decode(raw []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, invalid.Errorf("reading %q: %w", Name, err)
	}
	if m.Tool == "" || m.Tensors == nil {
		return nil, invalid.Errorf("reading %q: this is not quern's manifest", Name)
	}
	return &m, nil
}

// Difference names the first thing in which two runs differ, "" if they would
// write the same bytes.
func Difference(a, b *Manifest) string {
	diff := func(what, x, y string) string { return what + " was " + quote(x) + ", is " + quote(y) }
	switch {
	case a.Tool != b.Tool:
		return diff("the program", a.Tool, b.Tool)
	case a.Command != b.Command:
		return diff("the command", a.Command, b.Command)
	}
	names := map[string][2]string{}
	for _, o := range a.Options {
		names[o.Name] = [2]string{o.Value, ""}
	}
	for _, o := range b.Options {
		names[o.Name] = [2]string{names[o.Name][0], o.Value}
	}
	keys := make([]string, 0, len(names))
	for k := range names {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if v := names[k]; v[0] != v[1] {
			return diff("--"+k, v[0], v[1])
		}
	}
	if d := inputDifference(a.Input, b.Input); d != "" {
		return d
	}
	if a.Calibration != b.Calibration {
		return diff("the calibration file's digest", a.Calibration, b.Calibration)
	}
	if a.Plan != b.Plan {
		return "the plan differs"
	}
	return ""
}

func inputDifference(a, b plan.Input) string {
	files := map[string]plan.InputFile{}
	for _, f := range a.Files {
		files[f.Name] = f
	}
	for _, f := range b.Files {
		old, ok := files[f.Name]
		switch {
		case !ok:
			return "the input has a new file " + quote(f.Name)
		case old != f:
			return "the input file " + quote(f.Name) + " is another one"
		}
		delete(files, f.Name)
	}
	for _, f := range a.Files {
		if _, left := files[f.Name]; left {
			return "the input lacks the file " + quote(f.Name)
		}
	}
	if a.Config != b.Config {
		return "the input's config.json is another one"
	}
	return sideDifference(a.Side, b.Side)
}

func sideDifference(a, b []plan.SideFile) string {
	sizes := map[string]int64{}
	for _, f := range a {
		sizes[f.Name] = f.Size
	}
	for _, f := range b {
		old, ok := sizes[f.Name]
		switch {
		case !ok:
			return "the input has a new file " + quote(f.Name)
		case old != f.Size:
			return "the input file " + quote(f.Name) + " is another one"
		}
		delete(sizes, f.Name)
	}
	for _, f := range a {
		if _, left := sizes[f.Name]; left {
			return "the input lacks the file " + quote(f.Name)
		}
	}
	return ""
}

func quote(s string) string {
	if s == "" {
		return "not set"
	}
	return `"` + s + `"`
}
