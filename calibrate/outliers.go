package calibrate

import (
	"cmp"
	"slices"
	"strings"

	"quern/calibrate/file"
)

// Outlier is an input whose largest magnitude stands far above the others: a static
// scale, which has to reach it, leaves the others few codes.
type Outlier struct {
	Modules []string `json:"modules"` // that share the input
	Amax    float32  `json:"amax"`
	P999    float32  `json:"p999"` // what 99.9 % of the magnitudes are not above
	Ratio   float64  `json:"ratio"`
}

// Outliers are the n inputs with the largest ratio of the maximum to the 99.9th
// percentile, largest first; none where the file has no sketches.
func Outliers(f *file.File, n int) ([]Outlier, error) {
	var out []Outlier
	for _, m := range f.Modules() {
		s, ok := f.Sketch(m, false)
		if !ok {
			break
		}
		amax, _ := f.InputAmax(m)
		p := s.Quantile(0.999)
		if p <= 0 {
			continue
		}
		o := Outlier{Modules: []string{m}, Amax: amax, P999: p, Ratio: float64(amax) / float64(p)}
		same := slices.IndexFunc(out, func(x Outlier) bool {
			return x.Amax == o.Amax && x.P999 == p && parent(x.Modules[0]) == parent(m) && f.Count(x.Modules[0]) == f.Count(m)
		})
		if same >= 0 {
			out[same].Modules = append(out[same].Modules, m)
			continue
		}
		if len(out) > 4*n { // enough to sort now and then
			sortOutliers(out)
			out = out[:n]
		}
		out = append(out, o)
	}
	sortOutliers(out)
	return out[:min(n, len(out))], f.Err()
}

func sortOutliers(out []Outlier) {
	slices.SortStableFunc(out, func(a, b Outlier) int { return cmp.Compare(b.Ratio, a.Ratio) })
}

// parent is the path of the module that a module lies in.
func parent(module string) string { return module[:max(strings.LastIndexByte(module, '.'), 0)] }
