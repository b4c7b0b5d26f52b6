package placement

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// Counts say how often each expert was chosen, and may say how often two of them
// were chosen together.
type Counts struct {
	Path   string
	Layers []int // their numbers, ascending
	// Unnumbered is set where the file does not say which layers it counts: Layers
	// are then 0, 1, 2, … in the order of the file.
	Unnumbered bool
	MTP        []int // those of Layers that are known to be MTP layers
	Experts    int
	Load       [][]float64 // [layer][expert], finite and not negative
	Notes      []string    // what the user should know

	file *tensorFile // nil for JSON
}

// Close closes the file.
func (c *Counts) Close() error { return c.file.close() }

// The tensors of a calibration file that say something of experts, for layer %d.
const (
	loadTensor   = "model.layers.%d.expert_load"         // I64 [E]
	pairsTensor  = "model.layers.%d.expert_pairs"        // I64 or U64 [E, E]
	sparseTensor = "model.layers.%d.expert_pairs_sparse" // I64 [n, 3]
)

// maxCount is the largest count that float64 and everybody's integers have.
const maxCount = 1 << 53

// OpenCalibration reads the loads of a calibration file; see the package comment for
// its tensors. Co-activation is read when it is needed, so the file stays open.
func OpenCalibration(path string) (*Counts, error) {
	t, err := openTensors(path)
	if err != nil {
		return nil, err
	}
	c, err := readCalibration(t)
	if err != nil {
		_ = t.close()
		return nil, err
	}
	return c, nil
}

func readCalibration(t *tensorFile) (*Counts, error) {
	c := &Counts{Path: t.path, file: t}
	return c, c.readLoads()
}

func (c *Counts) readLoads() error {
	t := c.file
	numbers, err := t.layers(loadTensor)
	if err != nil {
		return err
	}
	if len(numbers) == 0 {
		return reading(t.path, t.noLoads())
	}
	c.Layers = numbers
	for _, l := range numbers {
		x := t.lookup(fmt.Sprintf(loadTensor, l))
		if x.DType != safetensors.I64 || len(x.Shape) != 1 {
			return t.blame(x.Name, "%s %v, where I64 [experts] is due", x.DType, x.Shape)
		}
		if err := c.setExperts(x); err != nil {
			return err
		}
		load := make([]float64, c.Experts)
		err := t.integers(x, 0, x.Elements(), func(e, n int64) error {
			if n < 0 || n > maxCount {
				return t.blame(x.Name, "expert %d: %d is no count", e, n)
			}
			load[e] = float64(n)
			return nil
		})
		if err != nil {
			return err
		}
		c.Load = append(c.Load, load)
	}
	c.findMTP()
	return nil
}

func (c *Counts) setExperts(x *safetensors.Tensor) error {
	n := x.Elements()
	switch {
	case n < 1 || n > maxExperts:
		return c.file.blame(x.Name, "%d experts, where 1 to %d are possible", n, maxExperts)
	case c.Experts == 0:
		c.Experts = int(n)
	case int64(c.Experts) != n:
		return c.file.blame(x.Name, "%d experts, where layer %d has %d", n, c.Layers[0], c.Experts)
	}
	return nil
}

// findMTP looks for layers that hold an MTP projection.
func (c *Counts) findMTP() {
	arch := model.Lookup(nil)
	mtp := map[int]bool{}
	for i := range c.file.head.Tensors {
		module, ok := strings.CutSuffix(c.file.head.Tensors[i].Name, ".input_count")
		if !ok {
			continue
		}
		if m := arch.Classify(module+".weight", safetensors.BF16, []int64{1, 1}); m.Role == model.MTPProjection {
			mtp[m.Layer] = true
		}
	}
	for _, l := range c.Layers {
		if mtp[l] {
			c.MTP = append(c.MTP, l)
		}
	}
}

// pairs reads how often experts were chosen together in a layer: a symmetric matrix
// [E, E] with zeros on the diagonal, or nil where the file does not say.
func (c *Counts) pairs(layer int) ([]float64, error) {
	if c == nil || c.file == nil {
		return nil, nil
	}
	if x := c.file.lookup(fmt.Sprintf(pairsTensor, layer)); x != nil {
		return c.densePairs(x)
	}
	if x := c.file.lookup(fmt.Sprintf(sparseTensor, layer)); x != nil {
		return c.sparsePairs(x)
	}
	return nil, nil
}

func (c *Counts) densePairs(x *safetensors.Tensor) ([]float64, error) {
	n := int64(c.Experts)
	if x.DType != safetensors.I64 && x.DType != safetensors.U64 || len(x.Shape) != 2 || x.Shape[0] != n || x.Shape[1] != n {
		return nil, c.file.blame(x.Name, "%s %v, where I64 or U64 [%d %d] is due", x.DType, x.Shape, n, n)
	}
	out := make([]float64, n*n)
	err := c.file.integers(x, 0, n*n, func(i, v int64) error {
		a, b := i/n, i%n
		switch {
		case v < 0 || v > maxCount:
			return c.file.blame(x.Name, "experts %d and %d: %d is no count", a, b, v)
		case a > b && out[b*n+a] != float64(v):
			return c.file.blame(x.Name, "experts %d and %d: %d one way and %.0f the other", a, b, v, out[b*n+a])
		case a != b: // the diagonal is each expert's load, or zero
			out[i] = float64(v)
		}
		return nil
	})
	return out, err
}

func (c *Counts) sparsePairs(x *safetensors.Tensor) ([]float64, error) {
	if x.DType != safetensors.I64 || len(x.Shape) != 2 || x.Shape[1] != 3 {
		return nil, c.file.blame(x.Name, "%s %v, where I64 [pairs 3] is due", x.DType, x.Shape)
	}
	n := int64(c.Experts)
	out := make([]float64, n*n)
	var row [3]int64
	last := int64(-1)
	err := c.file.integers(x, 0, x.Elements(), func(i, v int64) error {
		if row[i%3] = v; i%3 != 2 {
			return nil
		}
		a, b := row[0], row[1]
		switch {
		case a < 0 || b <= a || b >= n:
			return c.file.blame(x.Name, "row %d: %d and %d are no pair of %d experts, the lower first", i/3, a, b, n)
		case a*n+b <= last:
			return c.file.blame(x.Name, "row %d: experts %d and %d are out of order", i/3, a, b)
		case v < 0 || v > maxCount:
			return c.file.blame(x.Name, "experts %d and %d: %d is no count", a, b, v)
		}
		last = a*n + b
		out[a*n+b], out[b*n+a] = float64(v), float64(v)
		return nil
	})
	return out, err
}

// layers returns the numbers of the layers that have a tensor of a name with %d,
// ascending.
func (t *tensorFile) layers(name string) ([]int, error) {
	before, after, _ := strings.Cut(name, "%d")
	var out []int
	for i := range t.head.Tensors {
		s, ok := strings.CutPrefix(t.head.Tensors[i].Name, before)
		if !ok {
			continue
		}
		if s, ok = strings.CutSuffix(s, after); !ok {
			continue
		}
		l, err := strconv.Atoi(s)
		if err != nil || strconv.Itoa(l) != s {
			continue
		}
		if l < 0 || l >= maxLayers {
			return nil, t.blame(t.head.Tensors[i].Name, "there is no layer %d", l)
		}
		out = append(out, l)
	}
	slices.Sort(out)
	return out, nil
}

// noLoads says why a file counts no experts.
func (t *tensorFile) noLoads() error {
	if routers, err := t.layers(routerTensor); err == nil && len(routers) > 0 {
		return invalid.Errorf("it holds a routing trace and no expert_load: give it as --trace")
	}
	return invalid.Errorf("no tensor %s: this is no calibration file with expert loads", fmt.Sprintf(loadTensor, 0))
}
