package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quern/gpu/internal/ptx"
)

// The file was made of this source: whoever changes one makes the other anew.
func TestPTXIsOfThisSource(t *testing.T) {
	if !strings.HasPrefix(PTX, header()) {
		t.Error("quern.ptx was made of another source: go generate ./gpu/kernels, with NVRTC installed")
	}
}

// Entry points and parameters are those that the host knows.
func TestEntries(t *testing.T) {
	m, err := ptx.Parse(PTX)
	if err != nil {
		t.Fatal(err)
	}
	if m.Version != ptxISA || m.Target != fmt.Sprintf("sm_%d", PTXTarget) {
		t.Errorf("version %s for %s", m.Version, m.Target)
	}
	if len(m.Entries) != len(All) {
		t.Errorf("%d entries for %d kernels", len(m.Entries), len(All))
	}
	for _, k := range All {
		e := m.Entries[k.Name]
		if e == nil {
			t.Errorf("no entry %s", k.Name)
			continue
		}
		want := append(slices.Repeat([]int{8}, k.Buffers), slices.Repeat([]int{4}, k.Words)...)
		if !slices.Equal(e.Params, want) {
			t.Errorf("%s: parameters of %v bytes, want %v", k.Name, e.Params, want)
		}
		if e.Shared > LocalMemory {
			t.Errorf("%s: %d bytes of shared memory, at most %d are promised", k.Name, e.Shared, LocalMemory)
		}
	}
}

// Sums and products of 32-bit numbers are rounded one by one: ptxas fuses those
// that do not say how they are rounded (PTX ISA manual, mul). Nothing is flushed to
// zero and nothing approximate.
func TestRounding(t *testing.T) {
	for _, bad := range []string{
		`\b(add|sub|mul|mad)\.f32\b`, `\bftz\b`, `\bapprox\b`, `\bdiv\.full\b`, `\b(mad|fma)\.(rz|rm|rp)`, `\bf64\b`,
	} {
		if s := regexp.MustCompile(bad).FindString(PTX); s != "" {
			t.Errorf("quern.ptx has %q", s)
		}
	}
}

// The candidates of a search are 2^(k/16) and 2^(k/8), each rounded to float32, in
// the order of package fp8.
func TestCandidates(t *testing.T) {
	m, err := ptx.Parse(PTX)
	if err != nil {
		t.Fatal(err)
	}
	got := m.Constant("candidates")
	at := 0
	for _, k := range []float64{0, -1, 1, -2, 2, -3, 3, -4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, -16, 16} {
		for _, want := range []float32{float32(math.Exp2(k / 16)), float32(math.Exp2(k / 8))} {
			if x := math.Float32frombits(binary.LittleEndian.Uint32(got[at:])); x != want {
				t.Errorf("candidate %g: %g, want %g", k, x, want)
			}
			at += 4
		}
	}
	if at != len(got) {
		t.Errorf("%d bytes of %d", at, len(got))
	}
}
