package verify

import (
	"fmt"
	"slices"
	"strings"

	"quern/fp8"
	"quern/internal/ui"
)

// Fresh says whether quantized tensors are what quantizing the baseline anew gives,
// byte for byte: codes and scales as quern quantize writes them. It is information
// and no gate, for other scales may be as good.
type Fresh struct {
	Search      string `json:"search"`    // none or mse, as quern-manifest.json says
	ScaleFormat string `json:"scale_fmt"` // float or ue8m0, as the config says
	// Assumed is set where nothing says which search was used, and none is taken.
	Assumed bool `json:"search_assumed"`

	Checked   int         `json:"checked"`   // tensors, each with its scales
	Equal     bool        `json:"equal"`     // every byte of those, and there are some
	Different int         `json:"different"` // how many of those are not equal
	First     []Different `json:"first"`     // of these in the order of the files, at most 20
	Unchecked []Unchecked `json:"not_checked,omitempty"`
}

// Different is a tensor that a fresh quantization would write otherwise.
type Different struct {
	Name   string `json:"name"`
	Codes  int64  `json:"codes"`  // that differ
	Scales int64  `json:"scales"` // that differ
}

// Unchecked counts quantized tensors that were not compared for the same reason.
type Unchecked struct {
	Why     string `json:"why"`
	Tensors int    `json:"tensors"`
}

// fresh sums up the checks; nil if nothing is quantized.
func (x *comparison) fresh() *Fresh {
	f := &Fresh{Search: x.recipe.search, ScaleFormat: "float", Assumed: x.recipe.assumed, First: []Different{}}
	if x.recipe.options.ScaleFormat == fp8.ScaleUE8M0 {
		f.ScaleFormat = "ue8m0"
	}
	for _, e := range x.errors {
		if e == nil {
			continue
		}
		c := e.anew()
		if why := c.unchecked(); why != "" {
			f.skip(why)
			continue
		}
		f.Checked++
		if c.codes+c.scales == 0 {
			continue
		}
		if f.Different++; len(f.First) < maxFailures {
			f.First = append(f.First, Different{e.weight().Name, c.codes, c.scales})
		}
	}
	f.Equal = f.Checked > 0 && f.Different == 0
	if f.Checked+len(f.Unchecked) == 0 {
		return nil
	}
	return f
}

// skip counts a tensor that was not compared.
func (f *Fresh) skip(why string) {
	i := slices.IndexFunc(f.Unchecked, func(u Unchecked) bool { return u.Why == why })
	if i < 0 {
		i, f.Unchecked = len(f.Unchecked), append(f.Unchecked, Unchecked{Why: why})
	}
	f.Unchecked[i].Tensors++
}

// shownDifferent is how many of the tensors that differ are printed.
const shownDifferent = 3

// String is f in a sentence.
func (f *Fresh) String() string {
	if f.Checked == 0 {
		return "fresh quantization of the baseline: not checked: " + f.unchecked()
	}
	search := f.Search
	if f.Assumed {
		search += " assumed"
	}
	how := fmt.Sprintf("a fresh quantization of the baseline (search %s, %s scales)", search, f.ScaleFormat)
	text := fmt.Sprintf("every byte of %s tensors equals %s", ui.Count(int64(f.Checked)), how)
	if !f.Equal {
		text = fmt.Sprintf("%s of %s tensors differ from %s: first", ui.Count(int64(f.Different)), ui.Count(int64(f.Checked)), how)
		for i, d := range f.First[:min(shownDifferent, len(f.First))] {
			if i > 0 {
				text += ","
			}
			text += fmt.Sprintf(" %q (%s codes, %s scales)", d.Name, ui.Count(d.Codes), ui.Count(d.Scales))
		}
	}
	if len(f.Unchecked) > 0 {
		text += "; not checked: " + f.unchecked()
	}
	return text
}

// unchecked says how many tensors were not compared, and why.
func (f *Fresh) unchecked() string {
	parts := make([]string, len(f.Unchecked))
	for i, u := range f.Unchecked {
		parts[i] = u.Why
		if f.Checked > 0 || len(f.Unchecked) > 1 {
			parts[i] = fmt.Sprintf("%s (%s tensors)", u.Why, ui.Count(int64(u.Tensors)))
		}
	}
	return strings.Join(parts, ", ")
}
