package verify

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"quern/convert/container"
	"quern/convert/plan"
	"quern/fp8"
	"quern/group"
	"quern/internal/invalid"
	"quern/scheme"
)

// recipe is how the candidate would be quantized anew.
type recipe struct {
	options fp8.Options
	search  string
	assumed bool
	why     string // why it cannot be; "" if it can
	// settings are those of the manifest, for schemes that have them.
	settings []func(*scheme.Params)
	// weighted is set where scales were searched by a calibration, and channels where that
	// is at hand.
	weighted bool
	channels Calibration
}

// Calibration is what a weighted search went by.
type Calibration interface {
	Count(module string) int64
	MeanSquares(module string) ([]float32, bool)
	Digest() [32]byte
}

// newRecipe reads the recipe from the candidate's manifest and config.
func newRecipe(cand *side, calibration Calibration) (*recipe, error) {
	if err := cand.readManifest(); err != nil {
		return nil, err
	}
	r := &recipe{search: "none", assumed: true}
	if cand.ue8m0 {
		r.options.ScaleFormat = fp8.ScaleUE8M0
	}
	if cand.manifest == nil {
		return r, nil
	}
	i := slices.IndexFunc(cand.manifest.Options, func(o plan.Option) bool { return o.Name == "search" })
	if i < 0 {
		return r, nil
	}
	r.search, r.assumed = cand.manifest.Options[i].Value, false
	for _, o := range cand.manifest.Options {
		if set := settingOf[o]; set != nil {
			r.settings = append(r.settings, set)
		}
	}
	switch r.search {
	case "none":
	case "mse":
		r.options.Search = fp8.SearchMSE
	case "weighted":
		r.weighted = true
		if calibration == nil {
			r.why = "made with a calibration"
			break
		}
		digest := calibration.Digest()
		if is := hex.EncodeToString(digest[:]); is != cand.manifest.Calibration {
			return nil, invalid.Errorf("the calibration has the digest %s, and the checkpoint was made with %s", is, cand.manifest.Calibration)
		}
		r.channels = calibration
		r.options.Search = fp8.SearchWeighted
		r.settings = append(r.settings, func(p *scheme.Params) { p.Search = fp8.SearchWeighted })
	default:
		r.why = fmt.Sprintf("the manifest's search %q is not known", r.search)
	}
	return r, nil
}

// squares are what weighs the columns of weight t, nil where the calibration never met it.
func (r *recipe) squares(t *plan.Tensor) []float32 {
	for _, module := range []string{t.Meta.Module, t.Meta.Fused} {
		if module == "" || r.channels == nil || r.channels.Count(module) == 0 {
			continue
		}
		if squares, ok := r.channels.MeanSquares(module); ok {
			return squares
		}
	}
	return nil
}

// settingOf are the options of manifests that are settings of schemes.
var settingOf = map[plan.Option]func(*scheme.Params){
	{Name: "search", Value: "mse"}:     func(p *scheme.Params) { p.Search = fp8.SearchMSE },
	{Name: "mx-scale", Value: "rceil"}: func(p *scheme.Params) { p.Rule = group.ScaleCeil },
	{Name: "mx-scale", Value: "floor"}: func(p *scheme.Params) { p.Rule = group.ScaleFloor },
	{Name: "int4-range", Value: "7"}:   func(p *scheme.Params) { p.Range = group.Range7 },
}

// check gives job j, which has e, the comparison with a fresh quantization, or says
// why it cannot.
func (r *recipe) check(j *job, e *errorCheck) {
	if s := e.codes.byRows(); s != nil {
		e.fresh = r.rows(s, scheme.Params{}, e.base, e.codes.weight)
		e.rows = j.wholeRows(e.codes.cols)
		if !e.rows {
			e.fresh.why, e.fresh.byRows = "too wide for a row in memory", nil
		}
		return
	}
	options := r.options
	if options.Search == fp8.SearchWeighted {
		if options.Weights = r.squares(e.codes.weight); options.Weights == nil {
			options.Search = fp8.SearchMSE
		}
	}
	c := &freshCheck{options: &options, why: r.why, partners: []*baseline{e.base}}
	e.fresh = c
	e.banded = e.base.scaled == nil && len(e.codes.weight.Shape) == 2 && e.codes.grid.IsTile128() && j.bands(e.codes.rows, e.codes.cols, pieceBytes)
	switch {
	case e.base.scaled != nil:
		c.why = "the baseline is FP8, of which codes are copied"
	case e.base.written != nil:
		c.why = "the baseline is quantized, and its values may have been cast"
	case !e.codes.own():
		c.why = "no F32 weight_scale_inv of 128×128 tiles"
	case !e.banded:
		c.why = "too wide for a row of tiles in memory"
	}
}

// own reports whether the scales have a form that quern writes.
func (s *scaled) own() bool { return s.grid.IsTile128() && s.writes(scheme.BlockFP8) }

// byRows is the scheme that quern writes so, names included, if its parts are whole rows;
// nil if there is none.
func (s *scaled) byRows() *scheme.Scheme {
	is := scheme.ByGrid(s.grid, s.scale.DType)
	if is.Grain != (scheme.Grain{Rows: 1}) || s.rows == 0 || s.cols == 0 || !s.writes(is) {
		return nil
	}
	return is
}

// writes reports whether some container has such a scale, of the scheme is, under its name.
func (s *scaled) writes(is *scheme.Scheme) bool {
	if len(s.weight.Shape) != 2 {
		return false
	}
	return slices.ContainsFunc(container.All, func(c *container.Container) bool {
		form := c.Forms[is.Name]
		if form == nil || is.Check(form.Params(), s.rows, s.cols) != nil {
			return false
		}
		o := is.Outputs(form.Params(), s.rows, s.cols)
		return len(o) == 2 && s.scale.DType == o[1].DType && slices.Equal(s.scale.Shape, o[1].Shape) && s.scale.Name == s.weight.Name+form.Suffixes[o[1].Kind]
	})
}

// freshCheck quantizes the baseline of one tensor and counts what comes out
// otherwise.
type freshCheck struct {
	options *fp8.Options
	why     string // why not; "" if it does

	codes, scales int64     // that differ
	stats         fp8.Stats // of the fresh quantization
	none          bool      // there is none: values that are not finite

	byRows   *rowsAnew   // set where the scheme's parts are whole rows
	partners []*baseline // whose largest magnitude it begins with, if it does
}

// piece compares whole rows of tiles: codes with their scales, and the baseline's
// elements. It returns what the quantization tells of the tiles, and leaves the codes
// in w.codes; nil where there is none.
func (c *freshCheck) piece(w *worker, e *errorCheck, codes []byte, m fp8.Matrix, scales []float32) ([]fp8.TileStats, error) {
	if c.why != "" || len(codes) == 0 || c.byRows != nil {
		return nil, nil
	}
	w.codes, w.tiles = grown(w.codes, int64(len(codes))), grown(w.tiles, int64(len(scales)))
	want, tiles := w.codes[:len(codes)], w.tiles[:len(scales)]
	if err := fp8.Quantize(want, m.Cols, tiles, m, *c.options); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", e.codes.weight.Name, err)
	}
	for i := range tiles {
		c.none = c.none || tiles[i].NonFinite
		c.stats.Add(tiles[i])
		if math.Float32bits(tiles[i].Scale) != math.Float32bits(scales[i]) {
			c.scales++
		}
	}
	if !bytes.Equal(want, codes) {
		for i, x := range codes {
			if x != want[i] {
				c.codes++
			}
		}
	}
	return tiles, nil
}

// unchecked says why nothing was found out, "" if something was.
func (c *freshCheck) unchecked() string {
	if c.none {
		return "the baseline has values that are not finite"
	}
	return c.why
}

// absmax reports whether the fresh quantization tells what could be had: one without a
// search, or one that weighs squares and may lose what the plain rule keeps.
func (c *freshCheck) absmax() bool {
	return c.byRows != nil || c.why == "" && (c.options.Search == fp8.SearchNone || c.options.Search == fp8.SearchWeighted)
}

// sqnr is the ratio of the fresh quantization in dB, nil when it is exact or there
// is none.
func (c *freshCheck) sqnr() *float64 {
	if db, exact := c.stats.SQNR(); !exact && !c.none {
		return &db
	}
	return nil
}
