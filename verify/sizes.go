package verify

import (
	"slices"
	"strings"

	"quern/formats/hf"
)

// RoleSize is what the tensors of one role take, scales included with their weights.
type RoleSize struct {
	Role     string `json:"role"`
	Baseline int64  `json:"baseline_bytes"` // 0 without a baseline
	Bytes    int64  `json:"bytes"`
}

// sizes adds up the tensors by role. base may be nil.
func sizes(base, c *hf.Checkpoint) []RoleSize {
	by := map[string]*RoleSize{}
	add := func(c *hf.Checkpoint, baseline bool) {
		roles := map[string]string{}
		for ref, t := range c.Classified() {
			if t.ScaleOf == "" {
				roles[ref.Tensor.Name] = roleOf(t.MTP, t.Role.String())
			}
		}
		for ref, t := range c.Classified() {
			name := roleOf(t.MTP, t.Role.String())
			if of := roles[t.ScaleOf]; of != "" {
				name = of
			}
			s := by[name]
			if s == nil {
				s = &RoleSize{Role: name}
				by[name] = s
			}
			if baseline {
				s.Baseline += ref.Tensor.Bytes()
			} else {
				s.Bytes += ref.Tensor.Bytes()
			}
		}
	}
	if base != nil {
		add(base, true)
	}
	add(c, false)
	out := make([]RoleSize, 0, len(by))
	for _, s := range by {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b RoleSize) int { return strings.Compare(a.Role, b.Role) })
	return out
}

func roleOf(mtp bool, role string) string {
	if mtp {
		return "mtp " + role
	}
	return role
}
