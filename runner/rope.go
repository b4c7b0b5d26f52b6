package runner

import (
	"math"
	"sync"

	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/runner/rotary"
)

// rope is rotary position embedding: for each position the cosine and sine of an
// angle a pair of dimensions. It is safe for concurrent use.
type rope struct {
	inverse []float32 // angle of one position, by pair
	factor  float64   // multiplies cosine and sine
	// scale multiplies the logits of attention once more in DeepSeek's models.
	scale float32
	// query is what queries are multiplied by at a position (Mistral 4); nil: nothing.
	query func(position int) float32
	// longest is the longest text whose positions turn so; 0: there is none.
	longest int

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

// ropes are the ropes of a model: most have one, some one a layer type, with heads of
// their own size.
type ropes struct {
	c    *model.Config
	fam  *family
	made map[ropeKey]*rope
	// learned are the logarithms of what frequencies are multiplied by; nil: nothing.
	learned []float32
}

type ropeKey struct {
	layerType string
	head      int // of which a part may rotate
}

func newRopes(c *model.Config, fam *family) *ropes {
	return &ropes{c: c, fam: fam, made: map[ropeKey]*rope{}}
}

// of returns the rope of a layer type with heads of a size.
func (r *ropes) of(layerType string, head int) (*rope, error) {
	p, ok := r.c.RopeByType[layerType]
	if !ok {
		layerType, p = "", r.c.Rope
	}
	key := ropeKey{layerType, head}
	if made := r.made[key]; made != nil {
		return made, nil
	}
	made, err := newRope(r.c, p, r.fam, head)
	if err == nil {
		if err := made.learn(r.learned); err != nil {
			return nil, err
		}
		r.made[key] = made
	}
	return made, err
}

// longest is the longest text that all of them turn as the model does; 0: any.
func (r *ropes) longest() int {
	n := 0
	for _, made := range r.made {
		if m := made.longest; m > 0 && (n == 0 || m < n) {
			n = m
		}
	}
	return n
}

// learn multiplies frequencies (rotary.Learned).
func (r *rope) learn(alpha []float32) error {
	if alpha == nil {
		return nil
	}
	if len(alpha) != len(r.inverse) {
		return invalid.Errorf("config.json: %d pairs of channels rotate, and %d frequencies are learned", len(r.inverse), len(alpha))
	}
	freq := make([]float64, len(r.inverse))
	for i, f := range r.inverse {
		freq[i] = float64(f)
	}
	rotary.Learned(freq, alpha)
	for i, f := range freq {
		r.inverse[i] = float32(f)
	}
	return nil
}

// newRope follows transformers' modeling_rope_utils and the YaRN paper's code (arXiv
// 2309.00071) with the extensions of DeepSeek (mscale_all_dim scales the logits) and
// gpt_oss (truncate). head is the size of heads, or that of the part of latent attention's
// that rotates.
func newRope(c *model.Config, p model.Rope, fam *family, head int) (*rope, error) {
	d, latent := head, fam.latent
	switch {
	case latent, p.Type == "proportional":
	case p.PartialRotaryFactor > 0:
		d = int(float64(head) * p.PartialRotaryFactor)
	case c.RotaryDim > 0:
		d = c.RotaryDim
	}
	if d <= 0 || d%2 != 0 && !fam.oddRotation || !latent && (d+1)/2*2 > head {
		return nil, invalid.Errorf("config.json: %d rotated dimensions of heads of %d", d, head)
	}
	theta := p.Theta
	if theta == 0 {
		theta = 10000
	}
	r := &rope{factor: 1, scale: 1}
	freq := rotary.Default(theta, d)
	switch p.Type {
	case "linear", "llama3", "yarn":
		if !(p.Factor > 0) {
			return nil, invalid.Errorf("config.json: rope type %q with the factor %v", p.Type, p.Factor)
		}
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
	case "proportional":
		freq = rotary.Proportional(theta, d, p.PartialRotaryFactor, p.Factor)
	case "dynamic":
		var err error
		if freq, err = dynamic(r, c, p, theta, d); err != nil {
			return nil, err
		}
	case "longrope":
		var err error
		if freq, err = longRope(r, p, theta, d); err != nil {
			return nil, err
		}
	default:
		return nil, invalid.Errorf("config.json: rope type %q is not computed; known are default, linear, dynamic, llama3, longrope, proportional and yarn", p.Type)
	}
	r.inverse = make([]float32, len(freq))
	for i, f := range freq {
		r.inverse[i] = float32(f)
	}
	if p.Llama4Beta != 0 {
		if p.OriginalMax <= 0 {
			return nil, invalid.Errorf("config.json: \"llama_4_scaling_beta\" without original_max_position_embeddings")
		}
		r.query = func(at int) float32 { return rotary.Beta(at, p.OriginalMax, p.Llama4Beta) }
	}
	return r, nil
}

// dynamic raises theta: by alpha always (Hunyuan), else for texts that are longer than
// those of training, which are not computed, because each of their tokens would turn all
// that came before it once more.
func dynamic(r *rope, c *model.Config, p model.Rope, theta float64, d int) ([]float64, error) {
	if p.Alpha > 0 {
		return rotary.Default(theta*math.Pow(p.Alpha, float64(d)/float64(d-2)), d), nil
	}
	if c.MaxPositions == 0 {
		return nil, invalid.Errorf("config.json: rope type dynamic without max_position_embeddings")
	}
	r.longest = c.MaxPositions
	return rotary.Dynamic(theta, d, max(p.Factor, 1), 0, c.MaxPositions), nil
}

// longRope is that of PhiMoE, whose code takes the short factors whatever the length of a
// text; cosine and sine have the factor of short texts or that of long ones, which turn
// what came before once more where the two differ.
func longRope(r *rope, p model.Rope, theta float64, d int) ([]float64, error) {
	if len(p.ShortFactor) != d/2 || p.ShortMScale <= 0 || p.OriginalMax <= 0 {
		return nil, invalid.Errorf("config.json: rope type longrope with %d short factors for %d rotated dimensions, short_mscale %v and original_max_position_embeddings %d", len(p.ShortFactor), d, p.ShortMScale, p.OriginalMax)
	}
	freq, _ := rotary.LongRope(theta, p.ShortFactor, 1, p.OriginalMax)
	if r.factor = p.ShortMScale; p.LongMScale != p.ShortMScale {
		r.longest = p.OriginalMax
	}
	return freq, nil
}

// growth is what queries are multiplied by at a position; nil: nothing. So with no rope.
func (r *rope) growth() func(position int) float32 {
	if r == nil {
		return nil
	}
	return r.query
}

// grow multiplies the queries of rows, so many numbers each, by what a function says of
// their positions; nil: not at all.
func (p *pass) grow(q []float32, width int, scale func(position int) float32, segs []segment) {
	if scale == nil {
		return
	}
	for _, s := range segs {
		for i := range s.n {
			vec.Scale(q[(s.first+i)*width:][:width], scale(s.pos+i))
		}
	}
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
