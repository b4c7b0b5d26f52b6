// Package serving says what named engines do with a checkpoint, from a table of rules
// with their sources: which shapes and formats they refuse, what they read wrongly
// without a word, which parts they leave out.
//
// A [Folder] describes a checkpoint, planned or at hand; every command that speaks of
// engines asks the same rules about it.
package serving

import (
	"fmt"

	"quern/convert/modules"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/internal/strictjson"
	"quern/scheme"
)

// The pages of docs/engines have the rules.
//go:generate go test -run ^TestEnginePages$ -count=1 . -args -update

// Severity orders notes by what they mean for the user.
type Severity string

const (
	Misreads Severity = "misreads" // wrong numbers, silently
	Refuses  Severity = "refuses"  // does not load
	Limits   Severity = "limits"   // loads in some set-ups only
	Informs  Severity = "informs"  // good to know
)

// Note is one consequence for one engine, or for several alike.
type Note struct {
	Engine   string   `json:"engine"` // for people
	Names    []Engine `json:"names"`  // as --engine has them
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
	Tensors  int      `json:"tensors,omitempty"` // how many are affected
	Example  string   `json:"example,omitempty"` // the first of them
	Remedy   string   `json:"remedy,omitempty"`
	Cost     int64    `json:"cost_bytes,omitempty"` // by which the remedy makes the checkpoint larger
	Source   string   `json:"source"`
}

// add counts one more thing that the note is about.
func (n *Note) add(example string) {
	if n.Tensors == 0 {
		n.Example = example
	}
	n.Tensors++
}

// Folder is what the rules look at.
type Folder struct {
	arch   string
	config *model.Config // never nil
	side   map[string]bool
	names  []string // of tensors

	matrices []matrix            // FP8 weights with a scale for each 128×128 tile
	kept     []module            // linears that are stored as floats
	codes    []string            // modules with FP8 codes
	fours    []string            // modules with packed codes, routed experts left out
	odd      map[string]int      // FP8 weights with another form of scales, by that form
	fused    map[string][]matrix // by fused module
	part     map[string][2]int   // by fused module: parts quantized, parts kept

	ue8m0       bool // all scales are powers of two
	scaleName   string
	inputScale  map[string]string // parameter name of input scales to the first tensor
	inputScales int
	caches      int // scales of keys and values
	cache       string
	mtp         []string // weights of multi-token prediction
	head        bool     // there is an output head
	tied        bool     // there is none, and the config shares the embedding's
}

// matrix is a weight in block FP8.
type matrix struct {
	name       string
	rows, cols int64
	scaleRows  int64 // as stored
	scaleCols  int64
	scaleBytes int64
	wide       int64 // bytes of it kept as it was, or in BF16
	meta       model.Tensor
}

// module is a linear that is not quantized.
type module struct {
	path, also string // also is SGLang's name, or ""
}

// AtHand describes a checkpoint that is there.
func AtHand(c *hf.Checkpoint) *Folder { return Planned(plan.New(c), c) }

// Planned describes what p makes of c.
func Planned(p *plan.Plan, c *hf.Checkpoint) *Folder {
	f := &Folder{
		arch: c.Arch().Name(), config: c.Arch().Config(), side: map[string]bool{}, odd: map[string]int{},
		fused: map[string][]matrix{}, part: map[string][2]int{}, inputScale: map[string]string{}, ue8m0: true,
	}
	if p.Config != "" && p.Config != string(c.ConfigRaw) {
		if v, err := strictjson.Parse([]byte(p.Config), strictjson.Options{}); err == nil {
			if planned, err := model.ParseConfig(&v); err == nil {
				f.config = planned
			}
		}
	}
	for _, s := range p.Input.Side {
		f.side[s.Name] = true
	}
	scales := map[string]*plan.Tensor{} // by weight
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Meta.Role == model.Scale && t.Meta.Multiplies {
			scales[t.Meta.ScaleOf] = t
		}
	}
	for i := range p.Tensors {
		f.add(&p.Tensors[i], scales)
	}
	f.countInputs(p)
	f.tied = f.config.TieEmbeddings && !f.head
	return f
}

// add takes one tensor.
func (f *Folder) add(t *plan.Tensor, scales map[string]*plan.Tensor) {
	f.names = append(f.names, t.Name)
	if t.Meta.MTP && t.Meta.Role != model.Scale {
		f.mtp = append(f.mtp, t.Name)
	}
	f.head = f.head || t.Meta.Role == model.Head
	switch {
	case plan.IsInputScale(t.Meta.Param): // see countInputs
		return
	case plan.IsCacheScale(&t.Meta):
		if f.caches++; f.caches == 1 {
			f.cache = t.Name
		}
		return
	case t.Meta.Role == model.Scale:
		return
	}
	if t.Meta.Param == "weight" && t.Meta.Fused != "" {
		n := f.part[t.Meta.Fused]
		if t.Coded() {
			n[0]++
		} else {
			n[1]++
		}
		f.part[t.Meta.Fused] = n
	}
	if (t.Meta.Packed() || t.Quant.Scheme == scheme.MXFP4.Name || t.Quant.Scheme == scheme.INT4.Name) && t.Meta.Role.Linear() && t.Meta.Role != model.RoutedExpert {
		f.fours = append(f.fours, t.Meta.Module)
	}
	if !t.Coded() {
		if _, float := plan.Elem(t.DType); float && asked(t.Meta.Role) && t.Meta.Param == "weight" && len(t.Shape) == 2 {
			f.kept = append(f.kept, module{t.Meta.Module, modules.Decoder(&t.Meta)})
		}
		return
	}
	f.codes = append(f.codes, t.Meta.Module)
	if len(t.Shape) == 2 && t.Quant.Scheme == "" {
		f.block(t, scales[t.Name])
	}
}

// countInputs takes scales of inputs, but for those of matrices in other schemes, whose
// engines want them.
func (f *Folder) countInputs(p *plan.Plan) {
	others := map[string]bool{}
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Coded() && t.Quant.Scheme != "" {
			others[t.Meta.Module] = true
		}
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if !plan.IsInputScale(t.Meta.Param) || others[t.Meta.Module] {
			continue
		}
		if f.inputScale[t.Meta.Param] == "" {
			f.inputScale[t.Meta.Param] = t.Name
		}
		f.inputScales++
	}
}

// asked reports whether engines look into the list for modules of a role. Those of the
// indexer are built without it (vLLM deepseek_v2.py:636-643).
func asked(r model.Role) bool { return r.Linear() && r != model.Indexer }

// block takes a matrix with codes.
func (f *Folder) block(t, scale *plan.Tensor) {
	m := matrix{name: t.Name, rows: t.Shape[0], cols: t.Shape[1], meta: t.Meta, wide: 2 * t.Shape[0] * t.Shape[1]}
	m.scaleRows, m.scaleCols = (m.rows+127)/128, (m.cols+127)/128
	m.scaleBytes = 4 * m.scaleRows * m.scaleCols
	power := t.Quant.UE8M0
	if q := f.config.Quant; q != nil {
		power = power || q.ScaleFmt == "ue8m0"
	}
	if scale != nil {
		g, err := plan.ScaleGrid(t, scale, f.config.Quant.Tile())
		if err != nil || !g.IsTile128() {
			f.odd[form(t, &g, err)]++
			return
		}
		m.scaleBytes = scale.Bytes()
		power = power || scheme.PowersOfTwo(scale.DType)
		if f.scaleName == "" || scale.Meta.Param != t.Meta.Param+"_scale_inv" {
			f.scaleName = scale.Meta.Param
		}
	}
	if t.Op == plan.Quantize {
		m.wide = t.Source.Bytes()
	}
	f.matrices = append(f.matrices, m)
	f.ue8m0 = f.ue8m0 && power
	if fused := t.Meta.Fused; fused != "" {
		f.fused[fused] = append(f.fused[fused], m)
	}
}

// form names scales that are not one for each 128×128 tile.
func form(t *plan.Tensor, g *plan.Grid, err error) string {
	switch {
	case err != nil:
		return "scales of an unknown layout"
	case g.Rows == 1 && g.Cols == 1:
		return "one scale"
	case g.Rows == t.Shape[0] && g.Cols == 1:
		return "a scale a row"
	}
	return fmt.Sprintf("tiles of %d×%d", g.TileRows, g.TileCols)
}

// Notes applies every rule.
func (f *Folder) Notes() []Note {
	notes := []Note{}
	for i := range rules {
		r := &rules[i]
		if n, ok := r.apply(f); ok {
			n.Engine, n.Names, n.Severity, n.Source = r.title(), r.engines, r.severity, r.source
			if n.Remedy == "" {
				n.Remedy = r.remedy
			}
			if r.cost != nil {
				n.Cost = r.cost(f)
			}
			notes = append(notes, n)
		}
	}
	return notes
}

// fp8 reports whether the config declares DeepSeek's form of block FP8.
func (f *Folder) fp8() bool { return len(f.matrices) > 0 && f.method() == "fp8" }

// method is quant_method, "" without a quantization.
func (f *Folder) method() string {
	if f.config.Quant == nil {
		return ""
	}
	return f.config.Quant.Method
}

// latent reports whether attention is multi-head latent attention.
func (f *Folder) latent() bool { return f.config.KVLoraRank > 0 }
