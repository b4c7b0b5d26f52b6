package synth

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"quern/formats/safetensors"
)

// write makes a checkpoint in dir, which it creates: shards, index, config.
func write(dir string, tensors []safetensors.Tensor, config map[string]any, shardBytes int64, sparse bool, seed uint64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var shards [][]safetensors.Tensor
	var size, total int64
	weightMap := map[string]string{}
	for _, t := range tensors {
		n, err := safetensors.SizeOf(t.DType, t.Shape)
		if err != nil {
			return err
		}
		if len(shards) == 0 || size > 0 && size+n > shardBytes {
			shards, size = append(shards, nil), 0
		}
		shards[len(shards)-1] = append(shards[len(shards)-1], t)
		size += n
		total += n
	}
	r := rand.New(rand.NewPCG(seed, 5))
	noise := weights(r, 1<<18)
	for i, list := range shards {
		name := fmt.Sprintf("model-%05d-of-%06d.safetensors", i+1, len(shards))
		for _, t := range list {
			weightMap[t.Name] = name
		}
		if err := shard(filepath.Join(dir, name), list, sparse, noise, r); err != nil {
			return fmt.Errorf("writing %q: %w", name, err)
		}
	}
	save := func(name string, x any) error {
		raw, err := json.MarshalIndent(x, "", "  ")
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), raw, 0o644)
	}
	index := map[string]any{"metadata": map[string]any{"total_size": total}, "weight_map": weightMap}
	if err := save("model.safetensors.index.json", index); err != nil {
		return err
	}
	return save("config.json", config)
}

// shard writes one file; tensors lie in the canonical order.
func shard(path string, list []safetensors.Tensor, sparse bool, noise []float32, r *rand.Rand) error {
	h, raw, err := safetensors.NewHeader(list, map[string]string{"format": "pt"})
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(raw); err != nil {
		return err
	}
	if sparse {
		size := h.DataOffset
		for _, t := range h.Tensors {
			size = max(size, h.DataOffset+t.End)
		}
		return f.Truncate(size)
	}
	for _, t := range h.Tensors {
		if _, err := f.Write(fill(t, noise, r)); err != nil {
			return err
		}
	}
	return f.Sync()
}

// fill is a tensor's data: weights with rare outliers, norms and biases near
// what trained models have.
func fill(t safetensors.Tensor, noise []float32, r *rand.Rand) []byte {
	n := t.Elements()
	out := make([]byte, 0, n*t.DType.Bits()/8)
	at := r.IntN(len(noise))
	for i := range n {
		x := noise[(at+int(i))%len(noise)]
		if len(t.Shape) == 1 {
			x = 1 + x
		}
		out = append(out, encode(t.DType, x)...)
	}
	return out
}

// weights are normal with standard deviation 0.02 and one outlier in 10⁵.
func weights(r *rand.Rand, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		x := r.NormFloat64() * 0.02
		if r.Float64() < 1e-5 {
			x *= 300
		}
		out[i] = float32(x)
	}
	return out
}

func encode(d safetensors.DType, x float32) []byte {
	u := math.Float32bits(x)
	switch d {
	case safetensors.F32:
		return []byte{byte(u), byte(u >> 8), byte(u >> 16), byte(u >> 24)}
	default: // BF16, to nearest even
		u += 0x7fff + u>>16&1
		return []byte{byte(u >> 16), byte(u >> 24)}
	}
}
