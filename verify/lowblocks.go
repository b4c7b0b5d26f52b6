package verify

import (
	"context"
	"fmt"
	"io"

	"quern/internal/ui"
	"quern/scheme"
)

// LowBlocks says how many blocks of NVFP4 have a scale that E4M3 does not hold in full: it
// is subnormal, as the scale of a block is whose amax is more than 28,672 times below what
// the tensor's scale reaches, g (formats-2026.md §4.1). The weights of such blocks have
// lost bits that another scale of the tensor would have kept. Blocks of zeros do not count.
type LowBlocks struct {
	Blocks int64   `json:"blocks"`
	Low    int64   `json:"low"`
	Share  float64 `json:"share"`
	// Worst is the weight with the largest share, "" where there is no such block.
	Worst      string  `json:"worst,omitempty"`
	WorstShare float64 `json:"worst_share,omitempty"`
}

// lowBlocks are the scales of blocks of a checkpoint, each with its weight.
type lowBlocks []*lowCheck

// lowCheck counts the subnormal scales of a tensor.
type lowCheck struct {
	weight   string
	all, low int64
}

func (c *lowCheck) piece(_ context.Context, _ *worker, p []byte, _ int64) error {
	const least = 8 // the code of 2⁻⁶, the least normal number
	n := 0
	for _, code := range p {
		if code &= 0x7f; code != 0 && code < least {
			n++
		}
	}
	c.all, c.low = c.all+int64(len(p)), c.low+int64(n)
	return nil
}

// newLowBlocks gives the jobs of such scales their check. jobs are by tensor of s.
func newLowBlocks(s *side, jobs []*job) lowBlocks {
	weights := map[string]string{} // by the name of their scales
	for name, w := range s.written {
		form, err := scheme.Find(w.Scheme)
		if err != nil {
			continue
		}
		for n, o := range form.Outputs(w.Params, w.Rows, w.Cols) {
			if o.Kind == scheme.Scale && scheme.CodedScales(o.DType) {
				weights[w.Scales[n-1].Name] = name
			}
		}
	}
	var x lowBlocks
	for _, j := range jobs {
		if name, ok := weights[j.tensor.Name]; ok {
			c := &lowCheck{weight: name}
			j.checks = append(j.checks, c)
			x = append(x, c)
		}
	}
	return x
}

// report sums up; nil where there are no such scales.
func (x lowBlocks) report() *LowBlocks {
	if len(x) == 0 {
		return nil
	}
	r := &LowBlocks{}
	for _, c := range x {
		r.Blocks, r.Low = r.Blocks+c.all, r.Low+c.low
		if share := part(c.low, c.all); share > r.WorstShare {
			r.Worst, r.WorstShare = c.weight, share
		}
	}
	r.Share = part(r.Low, r.Blocks)
	return r
}

func part(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// String says it in words.
func (r *LowBlocks) String() string {
	if r.Low == 0 {
		return fmt.Sprintf("none of %s blocks is below g/28672, where the scale of a block loses bits", ui.Count(r.Blocks))
	}
	return fmt.Sprintf("%s of %s blocks (%s) are below g/28672, where the scale of a block loses bits; most in %s (%s)",
		ui.Count(r.Low), ui.Count(r.Blocks), percent(r.Share), r.Worst, percent(r.WorstShare))
}

func (r *LowBlocks) print(w io.Writer) {
	if r != nil {
		fmt.Fprintf(w, "\n%s\n", ui.Wrap("blocks of NVFP4: "+r.String(), 0, 2))
	}
}
