package scheme_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"quern/formats/safetensors"
	"quern/fp8"
	"quern/group"
	"quern/scheme"
)

// weights are BF16 numbers as trained models have them, with a zero block, an outlier
// and a tiny row among them.
func weights(r *rand.Rand, rows, cols int64) []byte {
	raw := make([]byte, 0, 2*rows*cols)
	for i := range rows * cols {
		x := r.NormFloat64() * 0.02
		switch row := i / cols; {
		case row == 1:
			x *= 1e-6
		case i%cols < 32 && row == 2:
			x = 0
		case i == 5:
			x = 7.5
		}
		raw = binary.LittleEndian.AppendUint16(raw, fp8.BF16FromFloat32(float32(x)))
	}
	return raw
}

// params are the settings with which each scheme is tried.
func params(s *scheme.Scheme) []scheme.Params {
	list := []scheme.Params{{}}
	for _, p := range []scheme.Params{
		{UE8M0: true},
		{Search: fp8.SearchMSE},
		{UE8M0: true, Search: fp8.SearchMSE},
		{Search: fp8.SearchWeighted},
		{Rule: group.ScaleCeil},
		{Range: group.Range7},
		{Divides: true},
	} {
		if s.Check(p, 128, 128) == nil {
			list = append(list, p)
		}
	}
	return list
}

func each(t *testing.T, fn func(t *testing.T, s *scheme.Scheme, p scheme.Params)) {
	for _, s := range scheme.All {
		for _, p := range params(s) {
			t.Run(s.Name, func(t *testing.T) { fn(t, s, p) })
		}
	}
}

// coding is a matrix with what a whole coding makes of it.
type coding struct {
	job     scheme.Job
	raw     []byte
	outputs []scheme.Output
}

func newCoding(t *testing.T, s *scheme.Scheme, p scheme.Params, seed uint64, rows, cols int64) *coding {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	c := &coding{job: scheme.Job{Params: p, Rows: rows, Cols: cols}, raw: weights(r, rows, cols)}
	if err := s.Check(p, rows, cols); err != nil {
		t.Fatal(err)
	}
	c.outputs = s.Outputs(p, rows, cols)
	if s.Survey {
		most, finite := scheme.Amax(c.part(scheme.Part{Rows: rows, Cols: cols}))
		if !finite {
			t.Fatal("not finite")
		}
		c.job.Amax = most
	}
	if p.Search == fp8.SearchWeighted {
		for range cols {
			c.job.Channels = append(c.job.Channels, float32(r.ExpFloat64()))
		}
	}
	return c
}

// part is a part of the matrix without gaps, as an engine hands it over.
func (c *coding) part(p scheme.Part) fp8.Matrix {
	data := make([]byte, 0, 2*p.Rows*p.Cols)
	for r := p.Row; r < p.Row+p.Rows; r++ {
		at := 2 * (r*c.job.Cols + p.Col)
		data = append(data, c.raw[at:at+2*p.Cols]...)
	}
	return fp8.Matrix{Data: data, Elem: fp8.ElemBF16, Rows: int(p.Rows), Cols: int(p.Cols), Stride: int(p.Cols)}
}

// run codes the parts, in that order, on several goroutines, and puts them together.
func (c *coding) run(t *testing.T, s *scheme.Scheme, parts []scheme.Part, goroutines int) (files [][]byte, stats scheme.Stats) {
	t.Helper()
	job := c.job
	coder, err := s.Coder(&job)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range c.outputs {
		n, err := safetensors.SizeOf(o.DType, o.Shape)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, make([]byte, n))
	}
	work := make(chan scheme.Part)
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for p := range work {
				outs := make([][]byte, len(c.outputs))
				for n := range outs {
					outs[n] = make([]byte, c.outputs[n].Size(p))
				}
				if err := coder.Code(outs, p, c.part(p)); err != nil {
					t.Error(err)
					continue
				}
				for n := range outs {
					if c.outputs[n].Whole() {
						continue
					}
					offset, width, stride, count := c.outputs[n].Place(p, c.job.Cols)
					for r := range count { // parts never share a byte
						copy(files[n][offset+r*stride:][:width], outs[n][r*width:][:width])
					}
				}
			}
		})
	}
	for _, p := range parts {
		work <- p
	}
	close(work)
	wg.Wait()
	for n := range files {
		if c.outputs[n].Whole() {
			copy(files[n], coder.Whole(n))
		}
	}
	return files, coder.Stats()
}

// cutUp divides a matrix at random multiples of the grain.
func cutUp(r *rand.Rand, g scheme.Grain, rows, cols int64) (parts []scheme.Part) {
	step := func(at, all, grain int64) int64 { return min(grain*(1+r.Int64N(3)), all-at) }
	for row := int64(0); row < rows; {
		height := step(row, rows, g.Rows)
		for col := int64(0); col < cols; {
			width := cols
			if g.Cols > 0 {
				width = step(col, cols, g.Cols)
			}
			parts = append(parts, scheme.Part{Row: row, Col: col, Rows: height, Cols: width})
			col += width
		}
		row += height
	}
	r.Shuffle(len(parts), func(a, b int) { parts[a], parts[b] = parts[b], parts[a] })
	return parts
}

// However a matrix is cut, in whatever order its parts come and on however many
// goroutines: codes, scales and statistics are the same bits.
func TestPartsEqualWhole(t *testing.T) {
	each(t, func(t *testing.T, s *scheme.Scheme, p scheme.Params) {
		for i, shape := range [][2]int64{{300, 288}, {1, 32}, {129, 416}, {128, 128}, {5, 2080}} {
			rows, cols := shape[0], shape[1]
			c := newCoding(t, s, p, uint64(i), rows, cols)
			want, stats := c.run(t, s, []scheme.Part{{Rows: rows, Cols: cols}}, 1)
			r := rand.New(rand.NewPCG(9, uint64(i)))
			for range 3 {
				got, again := c.run(t, s, cutUp(r, s.Grain, rows, cols), 3)
				for n := range want {
					if !bytes.Equal(got[n], want[n]) {
						t.Errorf("%v of %v: %s differ", p, shape, c.outputs[n].Kind)
					}
				}
				if again != stats {
					t.Errorf("%v of %v: statistics %+v, whole %+v", p, shape, again, stats)
				}
			}
		}
	})
}

// Decoded parts are parts of the decoded whole, and lie as near to the weights as the
// statistics say.
func TestDecode(t *testing.T) {
	each(t, func(t *testing.T, s *scheme.Scheme, p scheme.Params) {
		if s.Decode == nil {
			t.Skip("its codes are read by a grid")
		}
		const rows, cols = 70, 320
		c := newCoding(t, s, p, 3, rows, cols)
		files, stats := c.run(t, s, []scheme.Part{{Rows: rows, Cols: cols}}, 1)
		whole := make([]byte, 4*rows*cols)
		if err := s.Decode(p, whole, cols, fp8.ElemF32, files, scheme.Part{Rows: rows, Cols: cols}); err != nil {
			t.Fatal(err)
		}
		w := make([]float32, rows*cols)
		fp8.ElemBF16.Decode(w, c.raw)
		var sum, diff float64
		for i := range w {
			v := math.Float32frombits(binary.LittleEndian.Uint32(whole[4*i:]))
			sum += float64(w[i]) * float64(w[i])
			diff += (float64(w[i]) - float64(v)) * (float64(w[i]) - float64(v))
		}
		db, exact := stats.SQNR()
		if got := 10 * math.Log10(sum/diff); exact || math.Abs(got-db) > 1e-4 {
			t.Errorf("%.6f dB, the statistics say %.6f", got, db)
		}
		for _, part := range cutUp(rand.New(rand.NewPCG(4, 4)), s.Grain, rows, cols) {
			in := make([][]byte, len(files))
			for n := range in {
				if c.outputs[n].Whole() {
					in[n] = files[n]
					continue
				}
				offset, width, stride, count := c.outputs[n].Place(part, cols)
				for r := range count {
					in[n] = append(in[n], files[n][offset+r*stride:][:width]...)
				}
			}
			got := make([]byte, 4*part.Rows*part.Cols)
			if err := s.Decode(p, got, int(part.Cols), fp8.ElemF32, in, part); err != nil {
				t.Fatal(err)
			}
			for r := range part.Rows {
				if at := 4 * ((part.Row+r)*cols + part.Col); !bytes.Equal(got[4*r*part.Cols:][:4*part.Cols], whole[at:at+4*part.Cols]) {
					t.Fatalf("row %d of %+v differs", r, part)
				}
			}
		}
	})
}

// Under the scales of a coding its codes are the nearest, and the scales stay.
func TestRecode(t *testing.T) {
	each(t, func(t *testing.T, s *scheme.Scheme, p scheme.Params) {
		if s.Recode == nil {
			t.Skip("its codes are read by a grid")
		}
		const rows, cols = 70, 2080
		c := newCoding(t, s, p, 6, rows, cols)
		whole := scheme.Part{Rows: rows, Cols: cols}
		files, _ := c.run(t, s, []scheme.Part{whole}, 1)
		in := make([][]byte, len(files))
		for n := range files {
			in[n] = bytes.Clone(files[n])
		}
		clear(in[0])
		if err := s.Recode(p, in, c.part(whole), whole); err != nil {
			t.Fatal(err)
		}
		for n := range files {
			if !p.Divides && !bytes.Equal(in[n], files[n]) { // else the scale was rounded twice
				t.Errorf("%v: output %d differs", p, n)
			}
		}
	})
}

// The rows of the table: names, outputs whose shapes hold what their layout says.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scheme.All {
		if seen[s.Name] || s.Name == "" || s.Title == "" || s.Floor <= 0 {
			t.Errorf("%+v", s)
		}
		seen[s.Name] = true
		if got, err := scheme.Find(s.Name); err != nil || got != s {
			t.Errorf("%s: %v", s.Name, err)
		}
		total := int64(0)
		for n, o := range s.Outputs(scheme.Params{}, 256, 320) {
			size, err := safetensors.SizeOf(o.DType, o.Shape)
			if err != nil || !o.Whole() && size != o.Size(scheme.Part{Rows: 256, Cols: 320}) {
				t.Errorf("%s: %s: %d bytes in the file, %v", s.Name, o.Kind, size, err)
			}
			if (o.Kind == scheme.Codes) != (n == 0) {
				t.Errorf("%s: output %d is %s", s.Name, n, o.Kind)
			}
			total += size
		}
		if n := s.Bytes(scheme.Params{}, 256, 320); n != total {
			t.Errorf("%s: %d bytes of %d", s.Name, n, total)
		}
	}
	if s, err := scheme.Find(""); err != nil || s != scheme.BlockFP8 {
		t.Error("plans without a name mean block FP8")
	}
	if _, err := scheme.Find("nf4"); err == nil || !strings.Contains(err.Error(), "nvfp4") {
		t.Errorf("%v", err)
	}
}

// What a scheme does not take it refuses, saying why.
func TestTakes(t *testing.T) {
	for _, c := range []struct {
		s     *scheme.Scheme
		p     scheme.Params
		d     safetensors.DType
		shape []int64
		says  string
	}{
		{scheme.NVFP4, scheme.Params{}, safetensors.BF16, []int64{8, 40}, "no multiple of the 16 weights"},
		{scheme.NVFP4, scheme.Params{UE8M0: true}, safetensors.BF16, []int64{8, 32}, "setting"},
		{scheme.NVFP4, scheme.Params{}, safetensors.I32, []int64{8, 32}, "no float"},
		{scheme.TensorFP8, scheme.Params{Search: fp8.SearchMSE}, safetensors.BF16, []int64{8, 32}, "setting"},
		{scheme.BlockFP8, scheme.Params{}, safetensors.BF16, []int64{8}, "no matrix"},
		{scheme.BlockFP8, scheme.Params{}, safetensors.BF16, []int64{0, 8}, "no matrix"},
		{scheme.BlockFP8, scheme.Params{Divides: true}, safetensors.F64, []int64{8, 8}, "setting"},
	} {
		if err := c.s.Takes(c.p, c.d, c.shape); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s of %s %v: %v", c.s.Name, c.d, c.shape, err)
		}
	}
	if err := scheme.NVFP4.Takes(scheme.Params{Search: fp8.SearchMSE}, safetensors.F32, []int64{8, 32}); err != nil {
		t.Error(err)
	}
}

// A weight that is not finite is told of, wherever it lies; and no coding begins with a
// largest magnitude that is none.
func TestNonFinite(t *testing.T) {
	each(t, func(t *testing.T, s *scheme.Scheme, p scheme.Params) {
		c := newCoding(t, s, p, 5, 20, 160)
		binary.LittleEndian.PutUint16(c.raw[2*(13*160+99):], 0x7f80)
		job := c.job
		coder, err := s.Coder(&job)
		if err != nil {
			t.Fatal(err)
		}
		part := scheme.Part{Rows: 20, Cols: 160}
		outs := make([][]byte, len(c.outputs))
		for n := range outs {
			outs[n] = make([]byte, c.outputs[n].Size(part))
		}
		if err := coder.Code(outs, part, c.part(part)); err != scheme.ErrNonFinite {
			t.Errorf("%v", err)
		}
		if _, finite := scheme.Amax(c.part(part)); finite {
			t.Error("the largest magnitude is finite")
		}
		if job.Amax = float32(math.NaN()); s.Survey {
			if _, err := s.Coder(&job); err == nil {
				t.Error("a largest magnitude of NaN is taken")
			}
		}
	})
}
