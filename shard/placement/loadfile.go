package placement

import (
	"bytes"
	"context"
	"io"
	"math"

	"quern/internal/invalid"
	"quern/internal/strictjson"
	"quern/store"
)

// maxLoadBytes bounds a load file in JSON: 61 layers of 256 experts take some 120 KB.
const maxLoadBytes = 64 << 20

// OpenCounts opens a load file: a calibration file, or JSON in one of the forms of
// the package comment. A file of PyTorch is refused: reading one runs what it holds.
func OpenCounts(path string) (*Counts, error) {
	f, err := store.OpenFile(context.Background(), path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	start := make([]byte, 64)
	n, err := f.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return nil, reading(path, err)
	}
	start = start[:n]
	switch {
	case bytes.HasPrefix(start, []byte("PK\x03\x04")), bytes.HasPrefix(start, []byte{0x80, 2}), bytes.HasPrefix(start, []byte{0x80, 4}), bytes.HasPrefix(start, []byte{0x80, 5}):
		return nil, invalid.Errorf(`reading %q: a file of PyTorch or pickle, which can run code when it is read; turn a recording of SGLang into JSON first: `+
			`python -c 'import json,sys,torch; d=torch.load(sys.argv[1], weights_only=True); json.dump({"logical_count": d["logical_count"].tolist()}, sys.stdout)' %q > load.json`, path, path)
	case bytes.HasPrefix(bytes.TrimLeft(start, " \t\r\n"), []byte("{")):
		return readJSON(f, path)
	}
	return OpenCalibration(path)
}

func readJSON(f store.Object, path string) (*Counts, error) {
	if f.Size() > maxLoadBytes {
		return nil, invalid.Errorf("reading %q: %d bytes of JSON, the limit is %d", path, f.Size(), maxLoadBytes)
	}
	data, err := store.ReadAll(f)
	if err != nil {
		return nil, err
	}
	c, err := parseLoad(data)
	if err != nil {
		return nil, reading(path, err)
	}
	c.Path = path
	return c, nil
}

// parseLoad reads a load file in JSON.
func parseLoad(data []byte) (*Counts, error) {
	// Almost all loads are counts, which the scanner reads without a tree. The few
	// that hold other numbers are read a second time.
	p := loadParser{Scanner: strictjson.NewScanner(data, strictjson.Options{}), number: integer}
	c, err := p.document()
	if err != nil {
		p = loadParser{Scanner: strictjson.NewScanner(data, strictjson.Options{}), number: anyNumber}
		c, err = p.document()
	}
	return c, err
}

// loadParser reads a load file in JSON, with number for its numbers.
type loadParser struct {
	*strictjson.Scanner
	number func(*strictjson.Scanner) (float64, error)
}

func integer(s *strictjson.Scanner) (float64, error) {
	n, err := s.Uint64()
	if err == nil && n > maxCount {
		err = invalid.Errorf("byte %d: %d is no count", s.Offset(), n)
	}
	return float64(n), err
}

func anyNumber(s *strictjson.Scanner) (float64, error) {
	at := s.Offset()
	v, err := s.Value()
	if err != nil {
		return 0, err
	}
	x, ok := v.Float64()
	if n, whole := v.Int64(); whole && n > maxCount {
		ok = false // it would be rounded
	}
	switch {
	case v.Kind != strictjson.KindNumber:
		return 0, invalid.Errorf("byte %d: expected a number, found %s", at, v.Kind)
	case !ok || x > maxCount:
		return 0, invalid.Errorf("byte %d: %s is no count", at, v.Text)
	case x < 0 || math.IsNaN(x):
		return 0, invalid.Errorf("byte %d: %s: a load is not negative", at, v.Text)
	}
	return x, nil
}

func (p *loadParser) document() (*Counts, error) {
	var load [][]float64
	var layers []int
	form := ""
	seen := map[string]bool{}
	if err := p.ObjectStart(); err != nil {
		return nil, err
	}
	for {
		raw, ok, err := p.Key()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		key := string(raw)
		if seen[key] {
			return nil, invalid.Errorf("key %q occurs twice", key)
		}
		seen[key] = true
		switch key {
		case "load", "logical_count":
			if form != "" {
				return nil, invalid.Errorf("both %q and %q: which is meant?", form, key)
			}
			form = key
			load, err = p.loads(key)
		case "layers":
			layers, err = p.layers()
		default:
			err = p.Skip()
		}
		if err != nil {
			return nil, err
		}
	}
	if err := p.End(); err != nil {
		return nil, err
	}
	if form == "" {
		return nil, invalid.Errorf(`neither "load" nor "logical_count": this is no load file`)
	}
	return newCounts(form, load, layers)
}

// newCounts checks loads and gives their layers numbers.
func newCounts(form string, load [][]float64, layers []int) (*Counts, error) {
	if len(load) == 0 || len(load[0]) == 0 {
		return nil, invalid.Errorf("%q counts no experts", form)
	}
	c := &Counts{Experts: len(load[0])}
	for i, row := range load {
		if len(row) != c.Experts {
			return nil, invalid.Errorf("%q: row %d counts %d experts, row 0 counts %d", form, i, len(row), c.Experts)
		}
	}
	switch {
	case layers != nil && len(layers) != len(load):
		return nil, invalid.Errorf(`"layers" names %d layers, %q counts %d`, len(layers), form, len(load))
	case layers == nil && form == "logical_count":
		// SGLang counts every layer of the model, also those without experts.
		dense := 0
		for i, row := range load {
			if sum(row) == 0 {
				dense++
				continue
			}
			c.Layers, c.Load = append(c.Layers, i), append(c.Load, row)
		}
		if len(c.Load) == 0 {
			return nil, invalid.Errorf("%q: all counts are zero", form)
		}
		if dense > 0 {
			c.Notes = append(c.Notes, quantity(dense, "layer")+" without a count in "+form+" taken for layers without experts")
		}
		return c, nil
	case layers == nil:
		c.Unnumbered = true
		layers = make([]int, len(load))
		for i := range layers {
			layers[i] = i
		}
		c.Notes = append(c.Notes, `the load file does not say which layers it counts ("layers": [3, 4, …]): they are numbered from 0`)
	}
	c.Layers, c.Load = layers, load
	return c, nil
}

// loads reads [layers][experts], or for a recording also [steps][layers][experts],
// of which it takes the sum.
func (p *loadParser) loads(form string) ([][]float64, error) {
	var out [][]float64
	if err := p.ArrayStart(); err != nil {
		return nil, err
	}
	steps := false
	for i := 0; ; i++ {
		more, err := p.Next()
		if !more || err != nil {
			return out, err
		}
		if i > maxLayers && !steps {
			return nil, invalid.Errorf("%q: more than %d layers", form, maxLayers)
		}
		if err := p.ArrayStart(); err != nil {
			return nil, err
		}
		more, err = p.Next()
		if err != nil {
			return nil, err
		}
		deep := false
		if more {
			k, err := p.Peek()
			if err != nil {
				return nil, err
			}
			deep = k == strictjson.KindArray && form == "logical_count"
		}
		if i > 0 && deep != steps {
			return nil, invalid.Errorf("%q: arrays of different depth", form)
		}
		if steps = deep; steps {
			err = p.step(form, &out, i == 0)
		} else {
			var row []float64
			row, err = p.row(form, more)
			out = append(out, row)
		}
		if err != nil {
			return nil, err
		}
	}
}

// step adds one step of a recording, whose first layer is next, to the sums.
func (p *loadParser) step(form string, total *[][]float64, first bool) error {
	for l := 0; ; l++ {
		if err := p.ArrayStart(); err != nil {
			return err
		}
		more, err := p.Next()
		if err != nil {
			return err
		}
		row, err := p.row(form, more)
		if err != nil {
			return err
		}
		switch {
		case first && l < maxLayers:
			*total = append(*total, row)
		case l >= len(*total) || len((*total)[l]) != len(row):
			return invalid.Errorf("%q: steps of different sizes", form)
		default:
			for e, x := range row {
				(*total)[l][e] += x
			}
		}
		if more, err = p.Next(); err != nil {
			return err
		}
		if !more {
			if l+1 != len(*total) {
				return invalid.Errorf("%q: steps of different sizes", form)
			}
			return nil
		}
	}
}

// row reads the rest of a row of which more says whether it has a first element.
func (p *loadParser) row(form string, more bool) ([]float64, error) {
	var row []float64
	for more {
		x, err := p.number(p.Scanner)
		if err != nil {
			return nil, err
		}
		if len(row) == maxExperts {
			return nil, invalid.Errorf("%q: more than %d experts", form, maxExperts)
		}
		row = append(row, x)
		if more, err = p.Next(); err != nil {
			return nil, err
		}
	}
	return row, nil
}

// layers reads numbers of layers.
func (p *loadParser) layers() ([]int, error) {
	out := []int{}
	if err := p.ArrayStart(); err != nil {
		return nil, err
	}
	for {
		more, err := p.Next()
		if !more || err != nil {
			return out, err
		}
		n, err := p.Uint64()
		if err != nil {
			return nil, err
		}
		if n >= maxLayers || len(out) > 0 && int(n) <= out[len(out)-1] {
			return nil, invalid.Errorf(`"layers": %d: numbers of layers ascend and are below %d`, n, maxLayers)
		}
		out = append(out, int(n))
	}
}
