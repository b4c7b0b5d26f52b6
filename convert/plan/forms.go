package plan

import (
	"fmt"
	"slices"
	"strings"

	"quern/formats/foreign"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/scheme"
)

// Form is a quantized form of some weights of a checkpoint.
type Form struct {
	Name    string `json:"name"` // of its scheme
	Title   string `json:"title"`
	Tensors int    `json:"tensors"` // that have it
}

// FormsOf lists the quantized forms that c has, the most frequent first. unread is the
// name of the first one that is not read, "" if all are.
func FormsOf(c *hf.Checkpoint) (forms []Form, unread string) {
	p := New(c)
	count := map[Form]int{}
	var block []int64
	if c.Config != nil {
		block = c.Config.Quant.Tile()
	}
	found, scales, err := PackedOf(p, c)
	read := make(map[string]bool, len(found))
	if err == nil {
		for i, w := range found {
			read[p.Tensors[i].Name] = true
			if s, err := scheme.Find(w.Scheme); err == nil {
				count[Form{Name: s.Name, Title: w.title(s)}]++
			}
		}
	}
	beside := make(map[string]*Tensor, len(p.Tensors))
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Meta.Multiplies {
			beside[t.Meta.ScaleOf] = t
		}
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if s := beside[t.Name]; t.Coded() && s != nil {
			if g, err := ScaleGrid(t, s, block); err == nil {
				count[Form{Name: "fp8", Title: gridTitle(&g, s.DType)}]++
			}
		}
	}
	forms = make([]Form, 0, len(count))
	for f, n := range count {
		f.Tensors = n
		forms = append(forms, f)
	}
	slices.SortFunc(forms, func(a, b Form) int {
		if a.Tensors != b.Tensors {
			return b.Tensors - a.Tensors
		}
		return strings.Compare(a.Title, b.Title)
	})
	unread, _ = foreign.RecogniseBut(c, func(name string) bool { return read[name] || scales[name] })
	return forms, unread
}

// title says for people how codes are written.
func (w *Written) title(s *scheme.Scheme) string {
	switch {
	case w.Bits > 0 && w.Group > 0:
		return fmt.Sprintf("%s of %d bits, with a scale for every %d inputs", s.Title, w.Bits, w.Group)
	case w.Bits > 0:
		return fmt.Sprintf("%s of %d bits, with a scale for each row", s.Title, w.Bits)
	case slices.Contains(scheme.All, s):
		return strings.ToUpper(s.Name) + " " + s.Title
	}
	return s.Title
}

// gridTitle says how scales of a dtype lie over E4M3 codes.
func gridTitle(g *Grid, d safetensors.DType) string {
	switch {
	case g.Rows == 1 && g.Cols == 1 && !g.IsTile128():
		return "FP8 with one scale for each tensor"
	case g.TileRows == 1 && g.TileCols == 32 && d == safetensors.U8:
		return "MXFP8 with a power of two for every 32 weights"
	case g.TileRows == 1 && g.Cols == 1:
		return "FP8 with a scale for each row"
	}
	return fmt.Sprintf("FP8 with a scale for each tile of %d×%d", g.TileRows, g.TileCols)
}
