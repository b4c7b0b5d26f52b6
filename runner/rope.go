package runner

import (
	"math"
	"sync"

	"quern/formats/model"
	"quern/internal/invalid"
)

// rope is rotary position embedding: for each position the cosine and sine of an
// angle a pair of dimensions. It is safe for concurrent use.
type rope struct {
	inverse []float32 // angle of one position, by pair
	factor  float64   // multiplies cosine and sine
	// scale multiplies the logits of attention once more in DeepSeek's models.
	scale float32

	mu    sync.Mutex
	table []float32 // position by position: cosines, then sines
}

// dims is the number of dimensions that are rotated.
func (r *rope) dims() int { return 2 * len(r.inverse) }

// upTo returns the table with at least n positions. transformers multiplies in
// float32 before it takes the cosine; so do we, because models were trained and
// judged with that.
func (r *rope) upTo(n int) []float32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.dims()
	if d == 0 {
		return nil
	}
	for p := len(r.table) / d; p < n; p++ {
		row := make([]float32, d)
		for i, f := range r.inverse {
			s, c := math.Sincos(float64(float32(p) * f))
			row[i], row[i+d/2] = float32(float64(float32(c))*r.factor), float32(float64(float32(s))*r.factor)
		}
		r.table = append(r.table, row...)
	}
	return r.table
}

// ropes are the ropes of a model: most have one, some one a layer type.
type ropes struct {
	c      *model.Config
	latent bool
	made   map[string]*rope
}

func newRopes(c *model.Config, latent bool) *ropes {
	return &ropes{c: c, latent: latent, made: map[string]*rope{}}
}

// of returns the rope of a layer type.
func (r *ropes) of(layerType string) (*rope, error) {
	if r.c.RopeByType == nil {
		layerType = ""
	}
	if made := r.made[layerType]; made != nil {
		return made, nil
	}
	p := r.c.Rope
	if layerType != "" {
		p = r.c.RopeByType[layerType]
	}
	made, err := newRope(r.c, p, r.latent)
	if err == nil {
		r.made[layerType] = made
	}
	return made, err
}

// newRope follows transformers' modeling_rope_utils (default, linear, llama3) and the
// YaRN paper's code (arXiv 2309.00071) with the extensions of DeepSeek (mscale_all_dim
// scales the logits) and gpt_oss (truncate).
func newRope(c *model.Config, p model.Rope, latent bool) (*rope, error) {
	d := c.HeadDim
	switch {
	case latent:
		d = c.QKRopeHeadDim
	case p.PartialRotaryFactor > 0:
		d = int(float64(c.HeadDim) * p.PartialRotaryFactor)
	case c.RotaryDim > 0:
		d = c.RotaryDim
	}
	if d <= 0 || d%2 != 0 || !latent && d > c.HeadDim {
		return nil, invalid.Errorf("config.json: %d rotated dimensions of heads of %d", d, c.HeadDim)
	}
	theta := p.Theta
	if theta == 0 {
		theta = 10000
	}
	r := &rope{inverse: make([]float32, d/2), factor: 1, scale: 1}
	freq := make([]float64, d/2)
	for i := range freq {
		freq[i] = math.Pow(theta, -2*float64(i)/float64(d))
	}
	if p.Type != "" && p.Type != "default" && !(p.Factor > 0) {
		return nil, invalid.Errorf("config.json: rope type %q with the factor %v", p.Type, p.Factor)
	}
	switch p.Type {
	case "", "default":
	case "linear":
		for i := range freq {
			freq[i] /= p.Factor
		}
	case "llama3":
		if err := llama3(freq, p); err != nil {
			return nil, err
		}
	case "yarn":
		yarn(freq, c, p, theta)
		r.factor = attentionFactor(p)
		if m := mscale(p.Factor, p.MScaleAll); latent && p.MScaleAll != 0 {
			r.scale = float32(m * m)
		}
	default:
		return nil, invalid.Errorf("config.json: rope type %q is not computed; known are default, linear, llama3 and yarn", p.Type)
	}
	for i, f := range freq {
		r.inverse[i] = float32(f)
	}
	return r, nil
}

// llama3 lowers the frequencies whose wavelength is beyond the original context.
func llama3(freq []float64, p model.Rope) error {
	if p.OriginalMax == 0 || p.LowFreq == 0 || p.HighFreq <= p.LowFreq {
		return invalid.Errorf("config.json: rope type llama3 needs original_max_position_embeddings, low_freq_factor and a larger high_freq_factor")
	}
	old := float64(p.OriginalMax)
	for i, f := range freq {
		switch wave := 2 * math.Pi / f; {
		case wave > old/p.LowFreq:
			freq[i] = f / p.Factor
		case wave >= old/p.HighFreq:
			s := (old/wave - p.LowFreq) / (p.HighFreq - p.LowFreq)
			freq[i] = (1-s)*f/p.Factor + s*f
		}
	}
	return nil
}

// yarn interpolates frequencies by a ramp between those that rotate often and those
// that rotate seldom within the original context.
func yarn(freq []float64, c *model.Config, p model.Rope, theta float64) {
	d := float64(2 * len(freq))
	old := float64(p.OriginalMax)
	if old == 0 {
		old = float64(c.MaxPositions)
	}
	fast, slow := p.BetaFast, p.BetaSlow
	if fast == 0 {
		fast = 32
	}
	if slow == 0 {
		slow = 1
	}
	corr := func(rotations float64) float64 {
		return d * math.Log(old/(2*math.Pi*rotations)) / (2 * math.Log(theta))
	}
	low, high := corr(fast), corr(slow)
	if !p.NoTruncate {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, d-1)
	if low == high {
		high += 0.001
	}
	for i, f := range freq {
		ramp := min(max((float64(i)-low)/(high-low), 0), 1)
		freq[i] = f/p.Factor*ramp + f*(1-ramp)
	}
}

// mscale is YaRN's temperature.
func mscale(factor, m float64) float64 {
	if factor <= 1 {
		return 1
	}
	return 0.1*m*math.Log(factor) + 1
}

func attentionFactor(p model.Rope) float64 {
	switch {
	case p.AttentionFactor != 0:
		return p.AttentionFactor
	case p.MScale != 0 && p.MScaleAll != 0:
		return mscale(p.Factor, p.MScale) / mscale(p.Factor, p.MScaleAll)
	}
	return mscale(p.Factor, 1)
}
