package convert_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"quern/convert"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/fp8"
)

// The tiles folder holds checkpoints whose matrices span several tiles, ragged
// on both edges. NAME.fp8.txt and NAME.fp8_ue8m0.txt list what PyTorch 2.15
// makes of them: s = amax/448 (zero tile 1.0; ue8m0: next power of two),
// q = float8_e4m3fn(clamp(x/s, ±448)). A line: name, dtype, shape, SHA-256.

// expected is a line of such a list.
type expected struct {
	dtype, shape, sha256 string
}

func readExpected(t *testing.T, name string) map[string]expected {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "tiles", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]expected{}
	for s := bufio.NewScanner(f); s.Scan(); {
		w := strings.Fields(s.Text())
		out[w[0]] = expected{w[1], w[2], w[3]}
	}
	if len(out) == 0 {
		t.Fatalf("%s lists nothing", name)
	}
	return out
}

// quantize makes the block-FP8 form of in, in a new folder.
func quantize(t *testing.T, in string, o convert.QuantizeOptions) *hf.Checkpoint {
	t.Helper()
	c := open(t, in)
	p, err := convert.PlanQuantize(c, o)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := convert.Run(context.Background(), c, p, out, convert.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	return open(t, out)
}

// toBF16 makes the BF16 form of in, in a new folder.
func toBF16(t *testing.T, in string) *hf.Checkpoint {
	t.Helper()
	c := open(t, in)
	p, err := convert.PlanBF16(c, convert.BF16Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := convert.Run(context.Background(), c, p, out, convert.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	return open(t, out)
}

func open(t testing.TB, dir string) *hf.Checkpoint {
	t.Helper()
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// data reads a tensor whole.
func data(t *testing.T, c *hf.Checkpoint, name string) []byte {
	t.Helper()
	r, ok := c.Lookup(name)
	if !ok {
		t.Fatalf("%s: no tensor %s", c.Path, name)
	}
	f, err := os.Open(r.File.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw := make([]byte, r.Tensor.Bytes())
	if _, err := f.ReadAt(raw, r.File.Header.DataOffset+r.Tensor.Begin); err != nil && len(raw) > 0 {
		t.Fatal(err)
	}
	return raw
}

func names(c *hf.Checkpoint) []string {
	var out []string
	for _, f := range c.Files {
		for i := range f.Header.Tensors {
			out = append(out, f.Header.Tensors[i].Name)
		}
	}
	return out
}

func TestQuantizeEqualsTorch(t *testing.T) {
	for _, model := range []string{"deepseek_v3", "qwen3_moe", "special"} {
		for form, ue8m0 := range map[string]bool{"fp8": false, "fp8_ue8m0": true} {
			t.Run(model+"/"+form, func(t *testing.T) {
				want := readExpected(t, model+"."+form+".txt")
				got := quantize(t, filepath.Join("testdata", "tiles", model), convert.QuantizeOptions{UE8M0: ue8m0, ShardSize: 200_000})
				for _, name := range names(got) {
					w, ok := want[name]
					if !ok {
						t.Errorf("%s: not in torch's form", name)
						continue
					}
					delete(want, name)
					r, _ := got.Lookup(name)
					sum := sha256.Sum256(data(t, got, name))
					g := expected{r.Tensor.DType.String(), dims(r.Tensor.Shape), hex.EncodeToString(sum[:])}
					if g != w {
						t.Errorf("%s: %v, torch has %v", name, g, w)
					}
				}
				for name := range want {
					t.Errorf("%s: missing", name)
				}
			})
		}
	}
}

func dims(shape []int64) string {
	s := make([]string, len(shape))
	for i, n := range shape {
		s[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(s, ",")
}

// Back to BF16 and quantized again: the same codes with float scales, the same
// dequantized values with powers of two.
func TestRoundTrip(t *testing.T) {
	for _, model := range []string{"deepseek_v3", "qwen3_moe"} {
		for _, ue8m0 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/ue8m0=%v", model, ue8m0), func(t *testing.T) {
				o := convert.QuantizeOptions{UE8M0: ue8m0}
				once := quantize(t, filepath.Join("testdata", "tiles", model), o)
				wide := toBF16(t, once.Dir)
				twice := quantize(t, wide.Dir, o)
				codes := 0
				for _, name := range names(once) {
					r, _ := once.Lookup(name)
					if r.Tensor.DType != safetensors.F8E4M3 {
						continue
					}
					codes++
					if ue8m0 {
						a, b := dequantized(t, once, name), dequantized(t, twice, name)
						for i := range a {
							if a[i] != b[i] {
								t.Fatalf("%s: element %d is %v, was %v", name, i, b[i], a[i])
							}
						}
					} else if !bytes.Equal(data(t, once, name), data(t, twice, name)) {
						t.Errorf("%s: other codes", name)
					}
				}
				if codes == 0 {
					t.Fatal("nothing was quantized")
				}
				if q := wide.Config.Quant; q != nil {
					t.Errorf("the BF16 form declares %v", q)
				}
			})
		}
	}
}

// dequantized is codes times scales, by the plainest loop there is.
func dequantized(t *testing.T, c *hf.Checkpoint, name string) []float32 {
	t.Helper()
	r, _ := c.Lookup(name)
	rows, cols := r.Tensor.Shape[0], r.Tensor.Shape[1]
	codes, scales := data(t, c, name), floats(data(t, c, name+"_scale_inv"))
	across := (cols + 127) / 128
	out := make([]float32, rows*cols)
	for i := range rows {
		for j := range cols {
			out[i*cols+j] = fp8.E4M3ToFloat32(codes[i*cols+j]) * scales[i/128*across+j/128]
		}
	}
	return out
}

func floats(raw []byte) []float32 {
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(uint32(raw[4*i]) | uint32(raw[4*i+1])<<8 | uint32(raw[4*i+2])<<16 | uint32(raw[4*i+3])<<24)
	}
	return out
}
