package corpus

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/store"
)

// maxIDsBytes bounds a file of token ids.
const maxIDsBytes = 1 << 30

// ReadIDs reads token ids: `input_ids` of a safetensors file ([T], [B,T], or [T] with
// `offsets`), or JSON, a list of ids or of such lists. Each sequence becomes a text.
func ReadIDs(path string) ([]Text, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading token ids: %w", err)
	}
	var seqs [][]int
	if strings.HasSuffix(path, ".safetensors") {
		seqs, err = idsOfTensors(path)
	} else {
		seqs, err = idsOfJSON(path, fi.Size())
	}
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", path, err)
	}
	texts := make([]Text, len(seqs))
	for i, ids := range seqs {
		name := filepath.Base(path)
		if len(seqs) > 1 {
			name = fmt.Sprintf("%s[%d]", name, i)
		}
		if len(ids) == 0 {
			return nil, invalid.Errorf("reading %q: sequence %d has no tokens", path, i)
		}
		texts[i] = Text{Name: name, IDs: ids}
	}
	if len(texts) == 0 {
		return nil, invalid.Errorf("reading %q: there are no tokens", path)
	}
	return texts, nil
}

func idsOfJSON(path string, size int64) ([][]int, error) {
	if size > maxIDsBytes {
		return nil, invalid.Errorf("%d bytes: too large for token ids", size)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var one []int
	if json.Unmarshal(raw, &one) == nil {
		return [][]int{one}, nil
	}
	var many [][]int
	if err := json.Unmarshal(raw, &many); err != nil {
		return nil, invalid.Errorf("neither a list of token ids nor a list of such lists: %v", err)
	}
	return many, nil
}

func idsOfTensors(path string) ([][]int, error) {
	f, err := store.OpenFile(context.Background(), path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	h, err := safetensors.ReadHeader(f, f.Size(), safetensors.Limits{})
	if err != nil {
		return nil, err
	}
	ids, shape, err := integers(f, h, "input_ids")
	if err != nil {
		return nil, err
	}
	if ids == nil {
		return nil, invalid.Errorf("there is no tensor \"input_ids\"")
	}
	if len(shape) == 2 {
		var seqs [][]int
		for range shape[0] {
			seqs = append(seqs, ids[:shape[1]])
			ids = ids[shape[1]:]
		}
		return seqs, nil
	}
	offsets, _, err := integers(f, h, "offsets")
	if err != nil {
		return nil, err
	}
	if offsets == nil {
		return [][]int{ids}, nil
	}
	var seqs [][]int
	for i := range len(offsets) - 1 {
		a, b := offsets[i], offsets[i+1]
		if a < 0 || b < a || b > len(ids) {
			return nil, invalid.Errorf("tensor \"offsets\": text %d lies from %d to %d of %d tokens", i, a, b, len(ids))
		}
		seqs = append(seqs, ids[a:b])
	}
	return seqs, nil
}

// integers reads a tensor of whole numbers, nil when there is none of the name.
func integers(f store.Object, h *safetensors.Header, name string) ([]int, []int64, error) {
	for _, t := range h.Tensors {
		if t.Name != name {
			continue
		}
		if len(t.Shape) == 0 || len(t.Shape) > 2 || t.DType != safetensors.I64 && t.DType != safetensors.I32 || t.Bytes() > maxIDsBytes {
			return nil, nil, invalid.Errorf("tensor %q: %s %v instead of I64 or I32 in one or two dimensions", name, t.DType, t.Shape)
		}
		raw := make([]byte, t.Bytes())
		if _, err := f.ReadAt(raw, h.DataOffset+t.Begin); err != nil {
			return nil, nil, err
		}
		out := make([]int, t.Elements())
		for i := range out {
			if t.DType == safetensors.I64 {
				out[i] = int(int64(binary.LittleEndian.Uint64(raw[8*i:])))
			} else {
				out[i] = int(int32(binary.LittleEndian.Uint32(raw[4*i:])))
			}
		}
		return out, t.Shape, nil
	}
	return nil, nil, nil
}
