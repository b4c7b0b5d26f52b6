package file

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/x448/float16"

	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/blake3"
	"quern/internal/invalid"
	"quern/internal/strictjson"
	"quern/store"
)

// sampledRows is how many rows of the embedding go into an identity.
const sampledRows = 16

// Identify names the model that a checkpoint is of, whatever the form of its weights:
// the checkpoint that quern makes of another one has the identity of that one. What
// goes into it is
//
//   - config.json without what it says about quantization, types and the program that
//     wrote it;
//   - the names and shapes of all tensors but scales and buffers;
//   - the values of all norms and of 16 rows of the embedding, in BF16, which tell
//     models of one shape apart: conversions keep them.
//
// It reads little more than those values. The checkpoint needs a config.
func Identify(c *hf.Checkpoint) (string, error) {
	if !c.HasConfig {
		return "", invalid.Errorf("%q: a model without config.json has no identity", c.Path)
	}
	h := blake3.New()
	root := canonical(c.ConfigValue)
	_, _ = h.Write(root.Indent(""))
	var lines []string
	var read []hf.Ref
	for r, t := range c.Classified() {
		if t.Role == model.Scale || t.Role == model.Buffer {
			continue
		}
		lines = append(lines, fmt.Sprintf("\n%q %v", r.Tensor.Name, r.Tensor.Shape))
		if t.Role == model.Norm || t.Role == model.Embedding {
			read = append(read, r)
		}
	}
	slices.Sort(lines)
	for _, l := range lines {
		_, _ = h.Write([]byte(l))
	}
	slices.SortFunc(read, func(a, b hf.Ref) int { return strings.Compare(a.Tensor.Name, b.Tensor.Name) })
	if err := values(h, read); err != nil {
		return "", err
	}
	sum := h.Sum(nil)
	name := c.Arch().Name()
	if name == "" {
		name = c.Config.ModelType
	}
	return fmt.Sprintf("%s-%dx%d-%s", name, c.Config.NumHiddenLayers, c.Config.HiddenSize, hex.EncodeToString(sum[:16])), nil
}

// changing are keys of config.json that conversions and programs change.
var changing = []string{"quantization_config", "compression_config", "torch_dtype", "dtype", "transformers_version", "_name_or_path", "use_cache"}

// canonical is a config without keys that change, in order.
func canonical(v strictjson.Value) strictjson.Value {
	if v.Kind != strictjson.KindObject {
		return v
	}
	out := strictjson.Value{Kind: v.Kind}
	for _, m := range v.Members {
		if !slices.Contains(changing, m.Key) {
			out.Members = append(out.Members, strictjson.Member{Key: m.Key, Value: canonical(m.Value)})
		}
	}
	slices.SortFunc(out.Members, func(a, b strictjson.Member) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// values hashes the values of norms, and of rows of matrices.
func values(h *blake3.Hasher, refs []hf.Ref) error {
	var open store.Object
	var of *hf.File
	defer func() {
		if open != nil {
			_ = open.Close()
		}
	}()
	for _, r := range refs {
		if r.File != of {
			if open != nil {
				_ = open.Close()
				open = nil
			}
			f, err := r.File.Open(context.Background())
			if err != nil {
				return err
			}
			open, of = f, r.File
		}
		if err := rows(h, open, r); err != nil {
			return fmt.Errorf("reading %q: tensor %q: %w", r.File.Path, r.Tensor.Name, err)
		}
	}
	return nil
}

// rows hashes the first row of a tensor and others evenly spaced, sampledRows in all.
func rows(h *blake3.Hasher, f store.Object, r hf.Ref) error {
	t := r.Tensor
	n, size := int64(1), t.Bytes()
	if len(t.Shape) > 1 {
		if n = t.Shape[0]; n == 0 {
			return nil
		}
		size /= n
	}
	buf := make([]byte, size)
	for i := range min(n, sampledRows) {
		at := n * i / min(n, sampledRows)
		if _, err := f.ReadAt(buf, r.File.Header.DataOffset+t.Begin+at*size); err != nil {
			return invalid.Errorf("%w", err)
		}
		_, _ = h.Write(asBF16(buf, t.DType))
	}
	return nil
}

// asBF16 rounds values to BF16; those of a type that is no float go as they are.
func asBF16(raw []byte, d safetensors.DType) []byte {
	width := map[safetensors.DType]int{safetensors.F64: 8, safetensors.F32: 4, safetensors.F16: 2}[d]
	if width == 0 {
		return raw
	}
	out := make([]byte, 0, len(raw)/width*2)
	for i := 0; i+width <= len(raw); i += width {
		var x float32
		switch d {
		case safetensors.F64:
			x = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[i:])))
		case safetensors.F32:
			x = math.Float32frombits(binary.LittleEndian.Uint32(raw[i:]))
		default:
			x = float16.Frombits(binary.LittleEndian.Uint16(raw[i:])).Float32()
		}
		bits := math.Float32bits(x)
		out = binary.LittleEndian.AppendUint16(out, uint16((bits+0x7fff+bits>>16&1)>>16)) // to nearest, ties to even
	}
	return out
}

// DigestIDs is the BLAKE3-256, in hexadecimal, of sequences of token ids: of each its
// length and its ids, as unsigned 32-bit numbers.
func DigestIDs(sequences [][]int) string {
	h := blake3.New()
	var buf []byte
	for _, ids := range sequences {
		buf = binary.LittleEndian.AppendUint32(buf[:0], uint32(len(ids)))
		for _, id := range ids {
			buf = binary.LittleEndian.AppendUint32(buf, uint32(id))
		}
		_, _ = h.Write(buf)
	}
	return hex.EncodeToString(h.Sum(nil))
}
