package report

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quern/formats/safetensors"
	"quern/internal/page"
	"quern/shard/placement"
)

var pages = flag.String("pages", "", "write the pages of the tests into this folder, to look at them")

// made is a comparison with what it was made from.
type made struct {
	in   *placement.Input
	cmp  *placement.Comparison
	load [][]float64
}

func compare(t *testing.T, in *placement.Input, c placement.Config) made {
	t.Helper()
	cmp, err := placement.Compare(t.Context(), in, c)
	if err != nil {
		t.Fatal(err)
	}
	load, err := Loads(in)
	if err != nil {
		t.Fatal(err)
	}
	return made{in, cmp, load}
}

// counted is an input of loads alone, skewed, from layer 3 on.
func counted(layers, experts int) *placement.Input {
	r := rand.New(rand.NewPCG(1, 2))
	c := &placement.Counts{Path: "load.json", Experts: experts}
	for l := range layers {
		c.Layers = append(c.Layers, 3+l)
		load := make([]float64, experts)
		for e := range load {
			load[e] = math.Round(1000 / math.Pow(float64(1+r.IntN(experts)), 0.6))
		}
		c.Load = append(c.Load, load)
	}
	return &placement.Input{Shape: placement.Shape{Layers: c.Layers, Experts: experts}, Counts: c}
}

// traced is an input of a trace in which neighbours are chosen together; the last
// layer has a row less, as an MTP layer has, and 64-bit numbers.
func traced(t *testing.T, layers, tokens, experts, k int) *placement.Input {
	t.Helper()
	var list []safetensors.Tensor
	for l := range layers {
		x := safetensors.Tensor{Name: fmt.Sprintf("router.%d.indices", l), DType: safetensors.I32, Shape: []int64{int64(tokens), int64(k)}}
		if l == layers-1 {
			x.DType, x.Shape[0] = safetensors.I64, int64(tokens)-1
		}
		list = append(list, x)
	}
	var b bytes.Buffer
	r := rand.New(rand.NewPCG(3, 4))
	err := safetensors.Write(&b, list, map[string]string{"experts": fmt.Sprint(experts)}, func(i int, w io.Writer) error {
		for range list[i].Shape[0] {
			at := r.IntN(experts) * r.IntN(experts) / experts
			for j := range k {
				e := (at + j*5) % experts
				var err error
				if list[i].DType == safetensors.I64 {
					err = binary.Write(w, binary.LittleEndian, int64(e))
				} else {
					err = binary.Write(w, binary.LittleEndian, int32(e))
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "trace.safetensors")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	trace, err := placement.OpenTrace(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = trace.Close() })
	in, err := placement.NewInput(nil, trace, 0)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func html(t *testing.T, m made, s Setup) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, m.cmp, m.load, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var setup = Setup{Version: "1.2.3", Command: []string{"place", "--trace", "my trace.safetensors", "--ranks", "4"}, Sources: []Source{{"trace", "my trace.safetensors"}}}

// samples are comparisons of all forms.
func samples(t *testing.T) map[string]made {
	zero := counted(2, 8)
	for _, l := range zero.Counts.Load {
		clear(l)
	}
	half := counted(2, 8)
	clear(half.Counts.Load[1])
	return map[string]made{
		"trace":      compare(t, traced(t, 3, 1000, 32, 4), placement.Config{Ranks: 4, Nodes: 2, Algorithm: placement.Quern}),
		"replicas":   compare(t, traced(t, 2, 1000, 30, 3), placement.Config{Ranks: 4, Redundant: 6, Algorithm: placement.EPLB}),
		"loads":      compare(t, counted(20, 16), placement.Config{Ranks: 8, Algorithm: placement.Quern, Tolerance: 0.05}),
		"contiguous": compare(t, counted(2, 16), placement.Config{Ranks: 4, Algorithm: placement.Contiguous}),
		"zero":       compare(t, zero, placement.Config{Ranks: 2, Algorithm: placement.Quern}),
		"half":       compare(t, half, placement.Config{Ranks: 2, Algorithm: placement.Quern}),
		"v3":         compare(t, counted(58, 256), placement.Config{Ranks: 32, Nodes: 4, Groups: 8, Redundant: 32, Algorithm: placement.EPLB}),
	}
}

func TestPagesAreWholeAndAlone(t *testing.T) {
	for name, m := range samples(t) {
		t.Run(name, func(t *testing.T) {
			s := html(t, m, setup)
			if *pages != "" {
				if err := os.WriteFile(filepath.Join(*pages, name+".html"), []byte(s), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if s != html(t, m, setup) {
				t.Error("the same comparison gives other bytes")
			}
			tags, err := wellFormed(s)
			if err != nil {
				t.Fatal(err)
			}
			for _, tag := range tags {
				if slices.Contains([]string{"script", "link", "img", "iframe", "object", "image", "use"}, tag.Name.Local) {
					t.Errorf("<%s>", tag.Name.Local)
				}
				for _, a := range tag.Attr {
					if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "src" {
						t.Errorf("<%s %s>", tag.Name.Local, a.Name.Local)
					}
				}
			}
			for _, bad := range []string{"http:", "https:", "@import", "url(", "javascript:", "NaN", "Inf", "%!", "ZgotmplZ", "<nil>"} {
				if strings.Contains(s, bad) {
					t.Errorf("the page has %q", bad)
				}
			}
			for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(s, -1) {
				if !strings.HasPrefix(m[1], "#") || !strings.Contains(s, `id="`+m[1][1:]+`"`) {
					t.Errorf("a link to %q", m[1])
				}
			}
			if len(s) > 500_000 {
				t.Errorf("%d bytes", len(s))
			}
		})
	}
}

// V3's shape with all that can be measured.
func TestALargeModelIsSmall(t *testing.T) {
	m := samples(t)["v3"]
	m.cmp.Split = &placement.Split{Tokens: 1e9, MadeFrom: 8e8, Measured: 2e8}
	for _, of := range append(m.cmp.Metrics, m.cmp.Mean) {
		for a, x := range of {
			ranks, nodes := 7.123, 3.456
			x.Fanout, x.NodeFanout = &ranks, &nodes
			of[a] = x
		}
	}
	s := html(t, m, setup)
	if n := strings.Count(s, "7.123</td>"); n != 3*59 {
		t.Errorf("%d cells with fan-out", n)
	}
	t.Logf("%d bytes", len(s))
	if len(s) > 500_000 {
		t.Errorf("%d bytes", len(s))
	}
}

// The page says what was measured, and no more.
func TestSectionsAreAsTheDataSays(t *testing.T) {
	all := samples(t)
	for _, x := range []struct {
		sample    string
		has, lack []string
	}{
		{"trace", []string{
			"32 experts on 4 ranks of 2 nodes", "ranks per token", "nodes per token", "Before: in index order", "After: placed by quern", "2 (MTP)",
			"The first 800 are there to make placements from, the last 200 are held out and were measured", "quern place --trace &#39;my trace.safetensors&#39; --ranks 4", "quern place 1.2.3",
		}, []string{"<details>", `id="notes"`}},
		{"replicas", []string{"After: placed by EPLB", "<dd>36</dd>"}, []string{"nodes per token", "of 1 node"}},
		{"loads", []string{"There was no trace", "All 20 layers", "<h1>Better balanced than index order</h1>", `id="notes"`, "5\u202f% of balance"}, []string{"ranks per token", "Fan-out is"}},
		{"contiguous", []string{"Experts in index order, as engines place them", "In index order"}, []string{"After:"}},
		{"zero", []string{"Nothing was counted", "–"}, []string{`id="loads"`, "#loads"}},
		{"half", []string{`id="loads"`, `>–</`}, nil},
	} {
		s := html(t, all[x.sample], setup)
		for _, want := range x.has {
			if !strings.Contains(s, want) {
				t.Errorf("%s: no %q", x.sample, want)
			}
		}
		for _, no := range x.lack {
			if strings.Contains(s, no) {
				t.Errorf("%s: %q", x.sample, no)
			}
		}
		m := all[x.sample]
		for i, of := range m.cmp.Metrics {
			for a, v := range of {
				if v.Balance > 0 && !strings.Contains(s, ">"+figureOf(&v.Balance)+"</td>") {
					t.Errorf("%s: layer %d has no balance of %s", x.sample, i, a)
				}
				if v.Fanout != nil && !strings.Contains(s, ">"+figureOf(v.Fanout)+"</td>") {
					t.Errorf("%s: layer %d has no fan-out of %s", x.sample, i, a)
				}
			}
		}
	}
}

// What the maps show is what balance was measured on: the fullest rank of a row is
// the balance of the layer.
func TestMapsAgreeWithBalance(t *testing.T) {
	for name, m := range samples(t) {
		for i := range m.cmp.Placement.Layers {
			for a, phy2log := range map[placement.Algorithm][]int{
				placement.Contiguous:             contiguous(m.cmp.Placement),
				m.cmp.Placement.Config.Algorithm: m.cmp.Placement.Layers[i].Phy2Log,
			} {
				loads := ofRanks(m.load[i], phy2log, m.cmp.Placement.Config.Ranks)
				want := m.cmp.Metrics[i][a].Balance
				if loads == nil && want == 0 {
					continue
				}
				if got := slices.Max(loads); math.Abs(got-want) > 1e-12*want {
					t.Errorf("%s, layer %d, %s: the fullest rank has %v, the balance is %v", name, i, a, got, want)
				}
			}
		}
	}
}

// Names and notes are shown, never obeyed.
func TestNamesAreEscaped(t *testing.T) {
	m := samples(t)["trace"]
	evil := "<script>alert(1)</script>\"'&\u202e\x00\xff"
	m.cmp.Placement.Notes = []string{evil, strings.Repeat("x", 5000)}
	s := html(t, m, Setup{Version: evil, Command: []string{evil}, Sources: []Source{{evil, evil}}})
	if _, err := wellFormed(s); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s, "<script") || strings.ContainsAny(s, "\u202e\x00") {
		t.Error("not escaped")
	}
	if n := strings.Count(s, "⟨U&#43;202E⟩⟨U&#43;0000⟩⟨FF⟩"); n != 6 { // the version twice
		t.Errorf("what cannot be seen is shown %d times", n)
	}
	if strings.Contains(s, strings.Repeat("x", page.MaxText+1)) {
		t.Error("a long note is not cut")
	}
}

// More layers than any model has are left out, and the page says so.
func TestManyLayers(t *testing.T) {
	s := html(t, compare(t, counted(300, 4), placement.Config{Ranks: 2, Algorithm: placement.EPLB}), setup)
	for _, want := range []string{"44 more layers left out here", "44 more layers left out."} {
		if !strings.Contains(s, want) {
			t.Errorf("no %q", want)
		}
	}
}

// Loads of another shape are an error, not a wrong map.
func TestLoadsOfAnotherShape(t *testing.T) {
	m := samples(t)["trace"]
	for _, load := range [][][]float64{m.load[:2], {m.load[0], m.load[1], m.load[2][:5]}} {
		if err := HTML(io.Discard, m.cmp, load, setup); err == nil {
			t.Errorf("%d layers are taken", len(load))
		}
	}
	m.load = nil
	if s := html(t, m, setup); strings.Contains(s, `id="loads"`) {
		t.Error("a map of nothing")
	}
}

// A trace that another program replaced meanwhile is blamed.
func TestATraceThatChanged(t *testing.T) {
	in := traced(t, 2, 100, 8, 2)
	other := traced(t, 2, 100, 32, 2)
	raw, err := os.ReadFile(other.Trace.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in.Trace.Path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Loads(in); err == nil || !strings.Contains(err.Error(), `tensor "router.0.indices": expert `) {
		t.Error(err)
	}
	if err := os.WriteFile(in.Trace.Path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Loads(in); err == nil {
		t.Error("no error")
	}
}
