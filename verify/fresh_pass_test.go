package verify_test

import (
	"context"
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"quern/convert"
	"quern/convert/manifest"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/formats/synth"
	"quern/fp8"
	"quern/internal/blockio"
	"quern/verify"
)

// counting notes which bytes are read how often.
type counting struct {
	blockio.FS
	mu    *sync.Mutex
	reads map[string][][2]int64 // by path: from, to
}

type countingFile struct {
	blockio.File
	counting
	path string
}

func (f counting) Open(name string) (blockio.File, error) {
	r, err := f.FS.Open(name)
	return countingFile{r, f, name}, err
}

func (f countingFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads[f.path] = append(f.reads[f.path], [2]int64{off, off + int64(n)})
	return n, err
}

// most is how often the most read byte of a tensor was read, and the least read.
func (f counting) most(r hf.Ref) (most, least int) {
	n := make([]int, r.Tensor.Bytes())
	first := r.File.Header.DataOffset + r.Tensor.Begin
	for _, x := range f.reads[r.File.Path] {
		for i := max(x[0], first); i < min(x[1], first+int64(len(n))); i++ {
			n[i-first]++
		}
	}
	return slices.Max(n), slices.Min(n)
}

// Each byte is read once, and a weight's scales once more; also of tensors whose
// ideal is asked for, and of wide ones.
func TestReadsOnce(t *testing.T) {
	low := matrix(safetensors.BF16, 300, 520, 1) // between codes, so that there are less than 31 dB
	low.name = "model.layers.1.mlp.up_proj.weight"
	low.data = low.data[:0]
	for i := range 300 * 520 {
		x := 17.0
		if i/520%128 == 0 && i%520%128 == 0 {
			x = 448 // which makes the scale 1
		}
		low.data = put(low.data, safetensors.BF16, x)
	}
	src := checkpoint(t, nil, matrix(safetensors.BF16, 200, 20_003, 2), low, // of the first a row of tiles has 5 MB
		entry{"lm_head.weight", safetensors.F32, []int64{64, 300}, make([]byte, 4*64*300)})
	out := quantized(t, src, convert.QuantizeOptions{KeepBF16: true})
	base, cand := open(t, src), open(t, out)
	for _, workers := range []int{1, 4} {
		f := counting{blockio.OS, &sync.Mutex{}, map[string][][2]int64{}}
		base, cand := through(t, f, base.Dir), through(t, f, cand.Dir)
		r, err := verify.Compare(context.Background(), base, cand, verify.Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		wantFailed(t, r, nil)
		wantEqual(t, r.Weights.Fresh, 2)
		if r.Weights.WorstTensor != low.name || r.Weights.Tensors[0].Ideal == nil {
			t.Errorf("%+v", r.Weights.Tensors[0])
		}
		for _, c := range []*hf.Checkpoint{base, cand} {
			for ref, meta := range c.Classified() {
				want := 1
				if meta.ScaleOf != "" {
					want = 2
				}
				if most, least := f.most(ref); most != want || least != want {
					t.Errorf("%s of %q: bytes were read %d to %d times, want %d", ref.Tensor.Name, c.Path, least, most, want)
				}
			}
		}
	}
}

// sqnr adds up in the order that reports promise: blocks of 4096 weights from the
// first on, each in eight lanes that are joined in pairs.
func sqnr(want, got []float32) float64 {
	var signal, noise float64
	for len(want) > 0 {
		var w, d [8]float64
		n := min(4096, len(want))
		for i := range n {
			x, e := float64(want[i]), float64(want[i])-float64(got[i])
			w[i%8] += float64(x * x)
			d[i%8] += float64(e * e)
		}
		for k := 4; k > 0; k /= 2 {
			for i := range k {
				w[i] += w[i+k]
				d[i] += d[i+k]
			}
		}
		signal += w[0]
		noise += d[0]
		want, got = want[n:], got[n:]
	}
	return 10 * math.Log10(signal/noise)
}

// How a tensor is cut, for rows of tiles or without, must not show in the sums.
func TestSumsDoNotDependOnPieces(t *testing.T) {
	for _, d := range []safetensors.DType{safetensors.BF16, safetensors.F32, safetensors.F64} {
		shapes := [][2]int64{{129, 18_431}, {3, 5}}
		if !testing.Short() {
			shapes = append(shapes, [2]int64{420, 5001})
		}
		for _, shape := range shapes {
			src := matrix(d, shape[0], shape[1], 3)
			base := checkpoint(t, nil, src)
			out := quantized(t, base, convert.QuantizeOptions{})
			n := int(shape[0] * shape[1])
			want, got := make([]float32, n), make([]float32, n)
			for i := range want {
				switch p := src.data[i*int(d.Bits()/8):]; d {
				case safetensors.BF16:
					want[i] = fp8.BF16ToFloat32(binary.LittleEndian.Uint16(p))
				case safetensors.F32:
					want[i] = math.Float32frombits(binary.LittleEndian.Uint32(p))
				case safetensors.F64:
					want[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(p)))
				}
			}
			across := (int(shape[1]) + 127) / 128
			scales := first(t, out, dense+"_scale_inv", (int(shape[0])+127)/128*across*4)
			for i, code := range first(t, out, dense, n) {
				tile := i/int(shape[1])/128*across + i%int(shape[1])/128
				got[i] = fp8.E4M3ToFloat32(code) * math.Float32frombits(binary.LittleEndian.Uint32(scales[4*tile:]))
			}
			aligned := compare(t, base, out)
			wantEqual(t, aligned.Weights.Fresh, 1)
			edit(t, out, func(m *manifest.Manifest) {
				for i := range m.Options {
					if m.Options[i].Name == "search" {
						m.Options[i].Value = "weighted" // then nothing asks for rows of tiles
					}
				}
			})
			plain := compare(t, base, out)
			wantUnchecked(t, plain.Weights.Fresh, 1, "made with a calibration")
			for how, r := range map[string]*verify.Report{"rows of tiles": aligned, "pieces": plain} {
				if db := *r.Weights.Tensors[0].SQNR; db != sqnr(want, got) {
					t.Errorf("%s %v in %s: %v dB, want %v", d, shape, how, db, sqnr(want, got))
				}
			}
		}
	}
}

// BenchmarkCompare shows what a fresh quantization adds to a comparison, by search.
func BenchmarkCompare(b *testing.B) {
	src := filepath.Join(b.TempDir(), "small")
	if err := synth.Small().Write(src); err != nil {
		b.Fatal(err)
	}
	base, err := hf.Open(src)
	if err != nil {
		b.Fatal(err)
	}
	for _, search := range []string{"none", "mse", "not checked"} {
		p, err := convert.PlanQuantize(base, convert.QuantizeOptions{Search: map[string]fp8.Search{"mse": fp8.SearchMSE}[search]})
		if err != nil {
			b.Fatal(err)
		}
		if search == "not checked" {
			for i := range p.Options {
				if p.Options[i].Name == "search" {
					p.Options[i].Value = "weighted"
				}
			}
		}
		out := filepath.Join(b.TempDir(), "out")
		if _, err := convert.Run(context.Background(), base, p, out, convert.RunOptions{}); err != nil {
			b.Fatal(err)
		}
		cand, err := hf.Open(out)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(search, func(b *testing.B) {
			b.SetBytes(base.Bytes() + cand.Bytes())
			for b.Loop() {
				r, err := verify.Compare(context.Background(), base, cand, verify.Options{Workers: 1})
				if err != nil || !r.Passed || r.Weights.Fresh.Equal != (search != "not checked") {
					b.Fatal(err, r)
				}
			}
		})
	}
}
