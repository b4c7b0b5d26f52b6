package metrics

import (
	"bytes"
	"cmp"
	"encoding/gob"
	"maps"
	"math"
	"slices"

	"quern/internal/invalid"
)

// maxExperts bounds what an id found in a file can make Routing allocate.
const maxExperts = 1 << 16

// Routing compares which experts two models choose, layer by layer. The zero value
// is ready; it is used by one goroutine at a time.
type Routing struct {
	// Experts is the number of routed experts of a layer. 0 says that it is not
	// known: loads then end with the highest expert that was chosen.
	Experts int

	layers map[int]*choices
}

// choices are the counts of one layer, all of them integers: the order in which rows
// come is of no consequence.
type choices struct {
	k, rows           int
	shared, squares   int // Σ |∩|, Σ |∩|²
	first, all        int // rows with the same first expert, with the same set
	base, quant, both []int64
	inBase, inQuant   []int // per expert: the row that named it last, from 1
}

// Add takes rows of k expert ids each, of one layer, as both models choose them for
// the same tokens; the first of a row is the one with the highest weight. It panics
// when lengths do not fit. An id that is negative or no expert, an expert that a
// row names twice, and another k than before match invalid.Input.
func (r *Routing) Add(layer, k int, base, quant []int32) error {
	if k <= 0 || len(base) != len(quant) || len(base)%k != 0 {
		panic("metrics: base and quant are not rows of k experts")
	}
	if r.layers == nil {
		r.layers = map[int]*choices{}
	}
	c := r.layers[layer]
	if c == nil {
		c = &choices{k: k}
		r.layers[layer] = c
		c.grow(r.Experts)
	}
	if c.k != k {
		return invalid.Errorf("router of layer %d: %d experts a token, %d before", layer, k, c.k)
	}
	for i := 0; i < len(base); i += k {
		if err := c.add(r.Experts, base[i:i+k], quant[i:i+k]); err != nil {
			return invalid.Errorf("router of layer %d: row %d: %w", layer, c.rows-1, err)
		}
	}
	return nil
}

// add takes one row. A row that is refused leaves counts behind that are of no use.
func (c *choices) add(experts int, base, quant []int32) error {
	c.rows++
	limit := experts
	if limit <= 0 {
		limit = maxExperts
	}
	for _, e := range [2][]int32{base, quant} {
		if least, most := slices.Min(e), slices.Max(e); least < 0 || int(most) >= limit {
			bad := least
			if least >= 0 {
				bad = most
			}
			return invalid.Errorf("expert %d is not one of 0…%d", bad, limit-1)
		} else if int(most) >= len(c.base) {
			c.grow(int(most) + 1)
		}
	}
	for _, e := range base {
		if c.inBase[e] == c.rows {
			return invalid.Errorf("base names expert %d twice", e)
		}
		c.inBase[e] = c.rows
		c.base[e]++
	}
	n := 0
	for _, e := range quant {
		if c.inQuant[e] == c.rows {
			return invalid.Errorf("quant names expert %d twice", e)
		}
		c.inQuant[e] = c.rows
		c.quant[e]++
		if c.inBase[e] == c.rows {
			c.both[e]++
			n++
		}
	}
	c.shared += n
	c.squares += n * n
	if n == c.k {
		c.all++
	}
	if base[0] == quant[0] {
		c.first++
	}
	return nil
}

// grow makes room for n experts.
func (c *choices) grow(n int) {
	if more := n - len(c.base); more > 0 {
		c.base, c.quant, c.both = append(c.base, make([]int64, more)...), append(c.quant, make([]int64, more)...), append(c.both, make([]int64, more)...)
		c.inBase, c.inQuant = append(c.inBase, make([]int, more)...), append(c.inQuant, make([]int, more)...)
	}
}

// Choices are the counts of one layer. Those of other rows add up.
type Choices struct {
	K, Rows           int
	Shared, Squares   int // Σ |∩|, Σ |∩|²
	First, All        int // rows with the same first expert, with the same set
	Base, Quant, Both []int64
}

// Choices are the counts so far, by layer.
func (r *Routing) Choices() map[int]Choices {
	out := make(map[int]Choices, len(r.layers))
	for layer, c := range r.layers {
		out[layer] = Choices{c.k, c.rows, c.shared, c.squares, c.first, c.all, c.base, c.quant, c.both}
	}
	return out
}

// Take adds the counts of other rows. Another k than before matches invalid.Input.
func (r *Routing) Take(layers map[int]Choices) error {
	if r.layers == nil {
		r.layers = map[int]*choices{}
	}
	for layer, x := range layers {
		c := r.layers[layer]
		if c == nil {
			c = &choices{k: x.K}
			r.layers[layer] = c
		}
		if c.k != x.K || len(x.Base) != len(x.Quant) || len(x.Base) != len(x.Both) || len(x.Base) > maxExperts {
			return invalid.Errorf("router of layer %d: counts that do not go with those before", layer)
		}
		c.grow(max(r.Experts, len(x.Base)))
		c.rows += x.Rows
		c.shared, c.squares, c.first, c.all = c.shared+x.Shared, c.squares+x.Squares, c.first+x.First, c.all+x.All
		for e := range x.Base {
			c.base[e] += x.Base[e]
			c.quant[e] += x.Quant[e]
			c.both[e] += x.Both[e]
		}
	}
	return nil
}

// GobEncode writes the counts, for whoever goes on with them.
func (r *Routing) GobEncode() ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(r.Choices())
	return b.Bytes(), err
}

// GobDecode adds counts that were written.
func (r *Routing) GobDecode(data []byte) error {
	var layers map[int]Choices
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&layers); err != nil {
		return err
	}
	return r.Take(layers)
}

// RoutingReport is what a Routing has counted: means over all rows of all layers,
// and the layers by number.
type RoutingReport struct {
	Overlap   Figure         `json:"overlap"`
	Top1      Figure         `json:"top1"`
	Identical Figure         `json:"identical"`
	Layers    []LayerRouting `json:"layers"`
}

// LayerRouting is the comparison of one layer's choices.
type LayerRouting struct {
	Layer  int `json:"layer"`
	Tokens int `json:"tokens"`
	K      int `json:"experts_per_token"`
	// Overlap is the mean |∩|/k of the sets chosen.
	Overlap            Figure `json:"overlap"`
	OverlapUncertainty Figure `json:"overlap_uncertainty"`
	// Top1 is the share of tokens with the same first expert, Identical that with
	// the same set.
	Top1      Figure `json:"top1"`
	Identical Figure `json:"identical"`
	// LoadBase and LoadQuant count how often each expert was chosen. Agreement is,
	// of the times base chose it, how often quant did; null where base never did.
	LoadBase  []int64  `json:"load_base"`
	LoadQuant []int64  `json:"load_quant"`
	Agreement []Figure `json:"agreement"`
}

// Report returns what was counted so far.
func (r *Routing) Report() RoutingReport {
	out := RoutingReport{Layers: []LayerRouting{}}
	var overlap, top1, identical, rows float64
	for _, layer := range slices.SortedFunc(maps.Keys(r.layers), cmp.Compare) {
		c := r.layers[layer]
		out.Layers = append(out.Layers, c.report(layer))
		overlap += float64(c.shared) / float64(c.k)
		top1 += float64(c.first)
		identical += float64(c.all)
		rows += float64(c.rows)
	}
	out.Overlap, out.Top1, out.Identical = Figure(overlap/rows), Figure(top1/rows), Figure(identical/rows)
	return out
}

func (c *choices) report(layer int) LayerRouting {
	n, k := float64(c.rows), float64(c.k)
	mean := float64(c.shared) / n
	variance := max(0, float64(c.squares)/n-mean*mean)
	l := LayerRouting{
		Layer: layer, Tokens: c.rows, K: c.k,
		Overlap: Figure(mean / k), OverlapUncertainty: Figure(math.Sqrt(variance/(n-1)) / k),
		Top1: Figure(float64(c.first) / n), Identical: Figure(float64(c.all) / n),
		LoadBase: slices.Clone(c.base), LoadQuant: slices.Clone(c.quant),
		Agreement: make([]Figure, len(c.base)),
	}
	for e := range l.Agreement {
		l.Agreement[e] = Figure(float64(c.both[e]) / float64(c.base[e]))
	}
	return l
}
