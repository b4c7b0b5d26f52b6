package model

import (
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"quern/internal/strictjson"
)

// table is the size of the embedding; on the way every tensor has to have a role, a shape
// and its layer.
func table(t *testing.T, a *Arch) (n int64) {
	t.Helper()
	for d := range a.Declared() {
		layer := d.Layer
		if i := strings.Index(d.Name, "layers."); i == 0 {
			layer, _ = strconv.Atoi(strings.Split(d.Name, ".")[1])
		}
		if d.Role == Unknown || d.Layer != layer {
			t.Errorf("%s: %s in layer %d", d.Name, d.Role, d.Layer)
		}
		if d.Shape == nil && !strings.HasSuffix(d.Name, ".A_log") { // Kimi-K3
			t.Errorf("%s: the config does not determine its shape", d.Name)
		}
		if d.Role == Embedding && !d.MTP {
			n = d.Shape[0] * d.Shape[1]
		}
	}
	return n
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
			p, _, err := a.Sizes()
			if err != nil {
				t.Fatal(err)
			}
			embedding := table(t, a)
			if counts, _ := v.Get("table").Bool(); !counts {
				p.Active -= embedding
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
