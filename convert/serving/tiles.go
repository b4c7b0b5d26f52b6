package serving

import (
	"fmt"
	"slices"
	"sort"

	"quern/formats/model"
)

// String is m with its shape.
func (m *matrix) String() string { return fmt.Sprintf("%s [%d %d]", m.name, m.rows, m.cols) }

func (m *matrix) ragged() bool { return m.rows%128 != 0 || m.cols%128 != 0 }

// each is the note of a rule that concerns single matrices.
func each(text string, hit func(m *matrix) bool) func(*Folder) (Note, bool) {
	return func(f *Folder) (Note, bool) {
		n := Note{Text: text}
		for i := range f.matrices {
			if m := &f.matrices[i]; hit(m) {
				n.add(m.String())
			}
		}
		return n, n.Tensors > 0
	}
}

// joined reports whether m is the gate or up projection of a routed expert whose last
// tile is cut: transformers puts up right behind gate.
func joined(m *matrix) bool {
	return m.meta.Role == model.RoutedExpert && (m.meta.Part == "gate" || m.meta.Part == "up") && m.rows%128 != 0
}

// sameRows reports whether the scale rows of two such matrices are as many as those of
// the joined one: then nothing gives the difference away.
func sameRows(m *matrix) bool { return 2*((m.rows+127)/128) == (2*m.rows+127)/128 }

// raggedCost is by how much --ragged keep makes the checkpoint larger: such matrices,
// and what engines fuse with them, without codes and scales.
func (f *Folder) raggedCost() int64 {
	fused := map[string]bool{}
	for i := range f.matrices {
		if m := &f.matrices[i]; m.ragged() && m.meta.Fused != "" {
			fused[m.meta.Fused] = true
		}
	}
	return f.more(func(m *matrix) bool { return m.ragged() || fused[m.meta.Fused] })
}

// bf16Cost is by how much the checkpoint is larger in BF16.
func (f *Folder) bf16Cost() int64 {
	n := int64(0)
	for i := range f.matrices {
		m := &f.matrices[i]
		n += m.rows*m.cols - m.scaleBytes
	}
	return n
}

// more is what matrices take beyond codes and scales when they are kept.
func (f *Folder) more(which func(*matrix) bool) int64 {
	n := int64(0)
	for i := range f.matrices {
		if m := &f.matrices[i]; which(m) {
			n += m.wide - m.rows*m.cols - m.scaleBytes
		}
	}
	return n
}

// mixedParts finds fused matrices of which only some parts have codes.
func mixedParts(f *Folder) (Note, bool) {
	n := Note{Text: "refuse fused layers of which only some parts are quantized"}
	for _, name := range keys(f.part) {
		if p := f.part[name]; p[0] > 0 && p[1] > 0 {
			n.add(name)
		}
	}
	return n, n.Tensors > 0
}

// raggedMerge finds merged matrices with a ragged part that is not the last.
// The order of parts is that of engines: q before k before v, gate before up,
// q_a before kv_a.
func raggedMerge(f *Folder) (Note, bool) {
	order := map[string]int{"q": 0, "k": 1, "v": 2, "gate": 0, "up": 1, "q_a": 0, "kv_a": 1}
	n := Note{Text: "refuse merged matrices in which a part other than the last is no multiple of 128 rows"}
	for _, name := range keys(f.fused) {
		parts := slices.Clone(f.fused[name])
		sort.SliceStable(parts, func(i, j int) bool { return order[parts[i].meta.Part] < order[parts[j].meta.Part] })
		for i := range parts {
			if m := &parts[i]; i < len(parts)-1 && m.rows%128 != 0 {
				n.add(m.String())
				break
			}
		}
	}
	return n, n.Tensors > 0
}

// shared is the dimension of m that ranks divide among them, 0 if none is.
func (m *matrix) shared() int64 {
	switch m.meta.Role {
	case model.RoutedExpert, model.SharedExpert, model.DenseMLP:
		if m.meta.Part == "down" {
			return m.cols
		}
		return m.rows
	case model.Attention:
		switch m.meta.Part {
		case "q", "q_b", "kv_b":
			return m.rows
		case "o":
			return m.cols
		}
	}
	return 0
}

// divides reports whether the share of each of n ranks is a multiple of 128.
func (m *matrix) divides(n int64) bool {
	s := m.shared()
	return s == 0 || s%n == 0 && s/n%128 == 0
}

// indivisible is the first matrix that n ranks cannot divide, or nil.
func (f *Folder) indivisible(n int64) *matrix {
	for i := range f.matrices {
		if m := &f.matrices[i]; !m.divides(n) {
			return m
		}
	}
	return nil
}

// tensorParallel finds up to how many ranks all matrices that are split can be.
func tensorParallel(f *Folder) (Note, bool) {
	const most = 64
	limit, by := int64(most), (*matrix)(nil)
	for i := range f.matrices {
		m, ranks := &f.matrices[i], int64(1)
		for tp := int64(2); tp <= most; tp *= 2 {
			if m.divides(tp) {
				ranks = tp
			}
		}
		if ranks < limit {
			limit, by = ranks, m
		}
	}
	if by == nil {
		return Note{}, false
	}
	text := fmt.Sprintf("tensor parallel size at most %d: beyond that a rank's share is no multiple of 128", limit)
	if limit == 1 {
		text = "no tensor parallelism: a rank's share would be no multiple of 128"
	}
	return Note{Text: text, Example: by.String(), Remedy: "use expert or pipeline parallelism beyond that"}, true
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// first is the value of the first key.
func first(m map[string]string) string {
	for _, k := range keys(m) {
		return m[k]
	}
	return ""
}
