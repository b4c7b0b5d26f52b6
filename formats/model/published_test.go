package model

import (
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"quern/formats/safetensors"
	"quern/internal/strictjson"
)

// counted gives the parameters of a checkpoint that has every tensor of a config, and
// nothing else, in BF16 and with an expert to a tensor. Each has to have a role.
func counted(t *testing.T, a *Arch) (Parameters, int64) {
	t.Helper()
	var table int64 // of the embedding
	c := a.config
	p := a.Parameters(func(yield func(Tensor, int64) bool) {
		add := func(name string, r *row, layer int) {
			shape, ok := r.dims(c, layer)
			if !ok {
				if !strings.HasSuffix(name, ".A_log") { // Kimi-K3
					t.Errorf("%s: the config does not determine its shape", name)
				}
				return
			}
			m := a.Classify(name, safetensors.BF16, shape)
			if m.Role == Unknown || m.Layer != layer && layer >= 0 {
				t.Errorf("%s: %s in layer %d", name, m.Role, m.Layer)
			}
			n := int64(1)
			for _, d := range shape {
				n *= d
			}
			if m.Role == Embedding && !m.MTP {
				table = n
			}
			yield(m, n)
		}
		rows := func(layer int, prefix string) {
			for _, set := range a.family.rows {
				for i := range set {
					r := &set[i]
					if r.root != (layer < 0) || !applies(r, c, layer) {
						continue
					}
					before, after, each := strings.Cut(r.key, "#")
					n := 1
					if each && r.count != nil {
						n = r.count(c, layer)
					} else if each {
						n = c.NumExperts
					}
					for e := range n {
						name := prefix + r.key
						if each {
							name = prefix + before + strconv.Itoa(e) + after
						}
						add(name, r, layer)
					}
				}
			}
		}
		rows(-1, "")
		for l := range c.NumHiddenLayers {
			rows(l, "layers."+strconv.Itoa(l)+".")
		}
		for i := range c.NumMTPLayers {
			switch l := c.NumHiddenLayers + i; {
			case a.family.mtpLayers:
				rows(l, "layers."+strconv.Itoa(l)+".")
			case a.family.mtpPrefix != "":
				rows(l, a.family.mtpPrefix+strconv.Itoa(i)+".")
			}
		}
	})
	return p, table
}

// TestPublished holds the sizes that publishers print of their models, by configs cut
// down to the fields that sizes follow from. testdata/published.jsonl has a line for
// each: its totals as printed, in a unit of the last digit, which may be rounded either
// way; "table" is whether the active ones count the table of the embedding.
func TestPublished(t *testing.T) {
	file, err := os.ReadFile("testdata/published.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		v, err := strictjson.Parse([]byte(line), strictjson.Options{})
		if err != nil {
			t.Fatal(err)
		}
		name, _ := v.Get("model").Str()
		t.Run(name, func(t *testing.T) {
			c, err := ParseConfig(v.Get("config"))
			if err != nil {
				t.Fatal(err)
			}
			a := Lookup(c)
			if !a.Known() {
				t.Fatal("not in the table")
			}
			p, table := counted(t, a)
			if counts, _ := v.Get("table").Bool(); !counts {
				p.Active -= table
			}
			for key, got := range map[string]int64{"total": p.Total, "active": p.Active} {
				text, _ := v.Get(key).Str()
				want, unit := printed(t, text)
				if math.Abs(float64(got)-want) >= unit {
					t.Errorf("%s is %.2fB, published is %s", key, float64(got)/1e9, text)
				}
			}
		})
	}
}

// printed reads "1.6T" and the unit of its last digit.
func printed(t *testing.T, s string) (n, unit float64) {
	t.Helper()
	unit = map[byte]float64{'B': 1e9, 'T': 1e12}[s[len(s)-1]]
	digits := s[:len(s)-1]
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		t.Fatal(err)
	}
	n *= unit
	if i := strings.IndexByte(digits, '.'); i >= 0 {
		unit /= math.Pow10(len(digits) - i - 1)
	}
	return n, unit
}
