package verify

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"quern/scheme"
)

// WeightsReport says how far the weights of a checkpoint are from its baseline's.
type WeightsReport struct {
	// WorstSQNR is the least ratio of all tensors in dB, nil when all are exact.
	WorstSQNR   *float64 `json:"worst_sqnr_db"`
	WorstTensor string   `json:"worst_tensor"` // "" when all are exact
	Quantized   int      `json:"quantized"`    // tensors that were measured
	Kept        int      `json:"kept"`         // tensors that were compared for equality
	// Returned are matrices that went through FP8 and back, and are among the measured.
	Returned int           `json:"returned,omitempty"`
	Roles    []RoleError   `json:"roles"`   // by name
	Tensors  []TensorError `json:"tensors"` // the quantized ones, worst first
	// Fresh says whether quantizing the baseline anew gives the same bytes; nil if
	// nothing is quantized.
	Fresh *Fresh `json:"fresh,omitempty"`

	broken []string // quantized tensors that cannot be measured
}

// TensorError is the error of a quantized tensor, w in the baseline against ŵ. All
// numbers are finite: a ratio that would not be (of NaN, or against a baseline of
// zeros) is −400 dB, an error the largest number.
type TensorError struct {
	Name     string   `json:"name"`
	Role     string   `json:"role"`
	SQNR     *float64 `json:"sqnr_db"`        // 10·log10(Σw²/Σ(w−ŵ)²); nil when exact
	Relative float64  `json:"relative_error"` // √(Σ(w−ŵ)²/Σw²)
	Cosine   float64  `json:"cosine"`
	MaxAbs   float64  `json:"max_abs_error"` // max |w−ŵ|
	// Ideal is the ratio in dB that the scheme's own rule without a search gives. It is
	// worked out only for tensors below Floor, and nil too where that would be exact.
	Ideal *float64 `json:"ideal_sqnr_db,omitempty"`
	// Scheme is that of the tensor, Floor the ratio in dB that is enough for it.
	Scheme string  `json:"scheme"`
	Floor  float64 `json:"floor_db"`
	// Short says that SQNR is below the limit of the gate sqnr.
	Short bool `json:"below_limit,omitempty"`
	Layer int  `json:"layer"` // -1 of tensors that are of none

	limit float64 // dB that SQNR has to reach
	of    string  // what Ideal is, where that is not what absmax scales give
}

// RoleError sums up the quantized tensors of one role.
type RoleError struct {
	Role     string   `json:"role"` // "mtp " before it for those of multi-token prediction
	Tensors  int      `json:"tensors"`
	SQNR     *float64 `json:"sqnr_db"` // of all their weights together; nil when exact
	Relative float64  `json:"relative_error"`
	Cosine   float64  `json:"cosine"`
	MaxAbs   float64  `json:"max_abs_error"`
	Worst    string   `json:"worst"` // the tensor with the least ratio
}

// report makes the figures from what the checks have added up.
func (x *comparison) report() *WeightsReport {
	r := &WeightsReport{Roles: []RoleError{}, Tensors: []TensorError{}, Fresh: x.fresh(), broken: x.broken}
	type group struct {
		RoleError
		sum   energy
		worst float64
	}
	groups := map[string]*group{}
	through := x.passedThrough()
	for i, c := range x.errors {
		var t TensorError
		var sum *energy
		switch e := x.equals[i]; {
		case e != nil && through && e.back != nil && e.count > 0:
			r.Returned++
			sum, t = &e.back.sum, TensorError{Name: e.tensor.Name, Role: role(e.tensor), Layer: e.tensor.Meta.Layer, Scheme: scheme.BlockFP8.Name, Floor: enough, limit: e.back.limit()}
		case e != nil:
			r.Kept++
			continue
		case c == nil:
			continue
		default:
			sum, t = c.energy(), TensorError{Name: c.weight().Name, Role: role(c.weight()), Layer: c.weight().Meta.Layer, Ideal: c.best(), Scheme: c.is().Name, Floor: c.is().Floor, limit: c.limit(), of: c.anew().of()}
		}
		t.SQNR, t.Relative, t.Cosine, t.MaxAbs = sum.sqnr(), sum.relative(), sum.cosine(), sum.maxAbs()
		r.Tensors = append(r.Tensors, t)
		g := groups[t.Role]
		if g == nil {
			g = &group{RoleError: RoleError{Role: t.Role, Worst: t.Name}, worst: ratio(t.SQNR)}
			groups[t.Role] = g
		}
		g.Tensors++
		g.sum.merge(sum)
		if db := ratio(t.SQNR); db < g.worst {
			g.worst, g.Worst = db, t.Name
		}
	}
	r.Quantized = len(r.Tensors)
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		g := groups[name]
		g.SQNR, g.Relative, g.Cosine, g.MaxAbs = g.sum.sqnr(), g.sum.relative(), g.sum.cosine(), g.sum.maxAbs()
		r.Roles = append(r.Roles, g.RoleError)
	}
	slices.SortFunc(r.Tensors, func(a, b TensorError) int {
		return cmp.Or(cmp.Compare(ratio(a.SQNR), ratio(b.SQNR)), strings.Compare(a.Name, b.Name))
	})
	if len(r.Tensors) > 0 && r.Tensors[0].SQNR != nil {
		r.WorstSQNR, r.WorstTensor = r.Tensors[0].SQNR, r.Tensors[0].Name
	}
	return r
}

// ratio is a ratio in dB as a number: +Inf when exact.
func ratio(db *float64) float64 {
	if db == nil {
		return math.Inf(1)
	}
	return *db
}

// sqnr is the gate over the quantized tensors, each with its own limit. Value and
// limit are those of the tensor that has the least to spare.
func (r *WeightsReport) sqnr() Gate {
	return r.gate(func(t *TensorError) float64 { return t.limit })
}

// absolute is the gate sqnr with one limit in dB for all tensors.
func (r *WeightsReport) absolute(limit float64) Gate {
	return r.gate(func(*TensorError) float64 { return limit })
}

func (r *WeightsReport) gate(limit func(*TensorError) float64) Gate {
	if len(r.Tensors)+len(r.broken) == 0 {
		return skipped("sqnr", "nothing is quantized")
	}
	g := Gate{Name: "sqnr", Value: math.Inf(1), Limit: enough}
	f := tally{}
	for _, line := range r.broken {
		f.fail("%s", line)
	}
	for i := range r.Tensors {
		t := &r.Tensors[i]
		v, l := ratio(t.SQNR), limit(t)
		if i == 0 || v-l < g.Value-g.Limit {
			g.Value, g.Limit = v, l
		}
		if t.Short = !(v >= l); t.Short {
			f.fail("%s", t.shortfall(l))
		}
	}
	if len(r.broken) > 0 {
		g.Value = worstDB // what cannot be measured is worse than any number
	}
	g.Passed, g.Failures = f.count == 0, f.failures()
	return g
}

// shortfall says that t is below a limit.
func (t *TensorError) shortfall(limit float64) string {
	s := fmt.Sprintf("tensor %q (%s): %.3f dB, less than %.3f", t.Name, t.Role, ratio(t.SQNR), limit)
	if ratio(t.SQNR) <= worstDB {
		s = fmt.Sprintf("tensor %q (%s): no ratio: values that are not finite, or a baseline of zeros", t.Name, t.Role)
	}
	if t.Ideal != nil {
		what := "what absmax scales give"
		if t.of != "" {
			what = t.of
		}
		s += fmt.Sprintf(" (%.3f is %s)", *t.Ideal, what)
	}
	return s
}
