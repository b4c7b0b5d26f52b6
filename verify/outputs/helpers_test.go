package outputs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/formats/safetensors"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/store"
)

// data is a tensor and what it holds; values are encoded as the dtype wants them.
type data struct {
	name   string
	dtype  safetensors.DType
	shape  []int64
	values []float64
}

// build returns a file of tensors.
func build(t testing.TB, list ...data) []byte {
	t.Helper()
	tensors := make([]safetensors.Tensor, len(list))
	for i, d := range list {
		tensors[i] = safetensors.Tensor{Name: d.name, DType: d.dtype, Shape: d.shape}
	}
	var b bytes.Buffer
	err := safetensors.Write(&b, tensors, map[string]string{"producer": "test"}, func(i int, w io.Writer) error {
		n := int(tensors[i].Elements())
		var p []byte
		for j := range n {
			v := 0.0
			if j < len(list[i].values) {
				v = list[i].values[j]
			}
			p = encode(p, list[i].dtype, v)
		}
		_, err := w.Write(p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encode(p []byte, d safetensors.DType, v float64) []byte {
	switch d {
	case safetensors.I64:
		return binary.LittleEndian.AppendUint64(p, uint64(int64(v)))
	case safetensors.I32:
		return binary.LittleEndian.AppendUint32(p, uint32(int32(v)))
	case safetensors.BF16:
		return binary.LittleEndian.AppendUint16(p, uint16(math.Float32bits(float32(v))>>16))
	case safetensors.F16: // halves and small integers, exactly
		if v == 0 {
			return binary.LittleEndian.AppendUint16(p, 0)
		}
		frac, exp := math.Frexp(math.Abs(v))
		bits := uint16(exp+14)<<10 | uint16((2*frac-1)*1024)
		if v < 0 {
			bits |= 0x8000
		}
		return binary.LittleEndian.AppendUint16(p, bits)
	case safetensors.F64:
		return binary.LittleEndian.AppendUint64(p, math.Float64bits(v))
	default:
		return binary.LittleEndian.AppendUint32(p, math.Float32bits(float32(v)))
	}
}

// save writes a file of tensors into a new folder and returns its path.
func save(t testing.TB, list ...data) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "outputs.safetensors")
	if err := os.WriteFile(path, build(t, list...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustOpen(t testing.TB, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// refused holds an error to what blames the input.
func refused(t *testing.T, name string, err error, want ...string) {
	t.Helper()
	if err == nil || !errors.Is(err, invalid.Input) {
		t.Errorf("%s: %v is no error that blames the input", name, err)
		return
	}
	for _, s := range want {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%s: %q does not say %q", name, err, s)
		}
	}
}

// count returns 0, 1, … n−1.
func count(n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = float64(i)
	}
	return x
}

// memory is a file that lies nowhere.
type memory struct {
	store.Object
	io.ReaderAt
	size int64
}

func inMemory(content []byte) store.Object {
	return memory{ReaderAt: bytes.NewReader(content), size: int64(len(content))}
}

func (f memory) ReadAt(p []byte, at int64) (int, error) { return f.ReaderAt.ReadAt(p, at) }
func (f memory) Check() error                           { return nil }
func (f memory) Close() error                           { return nil }
func (f memory) Size() int64                            { return f.size }

// openOn opens a file that is reached through a file system.
func openOn(fsys blockio.FS, path string) (*File, error) {
	in, err := store.Local(fsys, filepath.Dir(path)).Open(context.Background(), filepath.Base(path))
	if err != nil {
		return nil, err
	}
	return open(path, in)
}

// content is all that a file can hold, in memory: rows by sequence.
type content struct {
	spec    Spec
	logits  [][]float32 // by sequence, all rows
	mtp     [][]float32
	hidden  map[int][][]float32
	routers map[int][][]int32
}

// random makes the outputs of a model for sequences of the given lengths.
func random(r *rand.Rand, vocab int, lengths ...int) *content {
	c := &content{
		spec: Spec{
			Vocab: vocab, MTP: true, Hidden: []HiddenSpec{{0, 6}, {1, 6}, {2, 6}},
			Routers: []RouterSpec{{Layer: 1, K: 3}, {Layer: 2, K: 2, MTP: true}}, Metadata: map[string]string{"producer": "test"},
		},
		hidden: map[int][][]float32{}, routers: map[int][][]int32{},
	}
	floats := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(3 * r.NormFloat64())
		}
		return x
	}
	for _, n := range lengths {
		ids := make([]int, n)
		for i := range ids {
			ids[i] = r.IntN(vocab)
		}
		c.spec.IDs = append(c.spec.IDs, ids)
		c.logits = append(c.logits, floats(n*vocab))
		c.mtp = append(c.mtp, floats((n-1)*vocab))
		for _, h := range c.spec.Hidden {
			c.hidden[h.Layer] = append(c.hidden[h.Layer], floats(n*h.Width))
		}
		for _, s := range c.spec.Routers {
			rows := n
			if s.MTP {
				rows--
			}
			var list []int32
			for range rows {
				for _, e := range r.Perm(8)[:s.K] {
					list = append(list, int32(e))
				}
			}
			c.routers[s.Layer] = append(c.routers[s.Layer], list)
		}
	}
	return c
}

// noisy is c as a quantized model might give it.
func (c *content) noisy(r *rand.Rand) *content {
	q := &content{spec: c.spec, hidden: map[int][][]float32{}, routers: map[int][][]int32{}}
	noise := func(in [][]float32) (out [][]float32) {
		for _, rows := range in {
			x := make([]float32, len(rows))
			for i := range x {
				x[i] = rows[i] + float32(0.3*r.NormFloat64())
			}
			out = append(out, x)
		}
		return out
	}
	q.logits, q.mtp = noise(c.logits), noise(c.mtp)
	for i, h := range c.hidden {
		q.hidden[i] = noise(h)
	}
	for l, s := range c.routers {
		for _, rows := range s {
			rows = append([]int32(nil), rows...)
			for i := range rows {
				if r.IntN(4) == 0 {
					rows[i] = 8 + int32(i%4) // another expert, not twice in a row
				}
			}
			q.routers[l] = append(q.routers[l], rows)
		}
	}
	return q
}

// write writes c to path.
func (c *content) write(t testing.TB, path string) {
	t.Helper()
	w, err := Create(path, c.spec)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	var errs []error
	for s := range c.spec.IDs {
		errs = append(errs, w.Logits(s, 0, 0, c.spec.Vocab, c.logits[s]), w.MTPLogits(s, 0, 0, c.spec.Vocab, c.mtp[s]))
		for i, h := range c.hidden {
			errs = append(errs, w.Hidden(i, s, 0, h[s]))
		}
		for l, r := range c.routers {
			errs = append(errs, w.Router(l, s, 0, r[s]))
		}
	}
	if err := errors.Join(append(errs, w.Close())...); err != nil {
		t.Fatal(err)
	}
}

// open writes c into a new folder and opens it.
func (c *content) open(t testing.TB) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "outputs.safetensors")
	c.write(t, path)
	return mustOpen(t, path)
}
