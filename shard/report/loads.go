package report

import (
	"context"
	"encoding/binary"
	"fmt"

	"quern/formats/safetensors"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/shard/placement"
	"quern/store"
)

// Loads is how often each expert was chosen [layer][expert], in what balance is
// measured on: with a trace its held-out part, without one the counts. Nil where
// nothing was counted.
//
// in has been compared, so a trace is known to be in order; only a file that changed
// meanwhile is blamed.
func Loads(in *placement.Input) ([][]float64, error) {
	switch {
	case in.Trace != nil:
		return heldOut(in.Trace, in.Experts)
	case in.Counts != nil:
		return in.Counts.Load, nil
	}
	return nil, nil
}

// heldOut counts the choices of the part of a trace that no placement is made from.
func heldOut(t *placement.Trace, experts int) ([][]float64, error) {
	f, err := store.OpenFile(context.Background(), t.Path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	h, err := safetensors.ReadHeader(f, f.Size(), safetensors.Limits{})
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", t.Path, err)
	}
	routers := make(map[string]*safetensors.Tensor, len(h.Tensors))
	for i := range h.Tensors {
		routers[h.Tensors[i].Name] = &h.Tensors[i]
	}
	loads := make([][]float64, len(t.Layers))
	for i, l := range t.Layers {
		name := fmt.Sprintf("router.%d.indices", l)
		x := routers[name]
		if x == nil || len(x.Shape) != 2 || x.Shape[0] < 2 || x.Shape[1] < 1 || x.DType != safetensors.I32 && x.DType != safetensors.I64 {
			return nil, invalid.Errorf("reading %q: tensor %q: the file changed while it was read", t.Path, name)
		}
		loads[i] = make([]float64, experts)
		// A layer with fewer tokens is divided in proportion, as placement does.
		rows := x.Shape[0]
		border := min(max(rows*t.Split.MadeFrom/t.Split.Tokens, 1), rows-1)
		if err := tally(f, h.DataOffset, x, border, loads[i]); err != nil {
			return nil, fmt.Errorf("reading %q: tensor %q: %w", t.Path, name, err)
		}
	}
	return loads, nil
}

// tally adds the choices of the rows from row on to load.
func tally(f store.Object, data int64, x *safetensors.Tensor, row int64, load []float64) error {
	const block = 1 << 20 // bytes, whole elements
	size := x.Bytes() / x.Elements()
	from := x.Begin + row*x.Shape[1]*size
	buf := make([]byte, min(block, x.End-from))
	for from < x.End {
		b := buf[:min(block, x.End-from)]
		if err := blockio.ReadFull(f, b, data+from); err != nil {
			return err
		}
		from += int64(len(b))
		for ; len(b) > 0; b = b[size:] {
			e := int64(int32(binary.LittleEndian.Uint32(b)))
			if size == 8 {
				e = int64(binary.LittleEndian.Uint64(b))
			}
			if e < 0 || e >= int64(len(load)) {
				return invalid.Errorf("expert %d of %d: the file changed while it was read", e, len(load))
			}
			load[e]++
		}
	}
	return nil
}

// ofRanks is the load of each rank over the mean, when replicas share the load of their
// expert equally; nil where nothing was counted.
func ofRanks(load []float64, phy2log []int, ranks int) []float64 {
	var total float64
	for _, x := range load {
		total += x
	}
	if total == 0 {
		return nil
	}
	copies := make([]int, len(load))
	for _, e := range phy2log {
		copies[e]++
	}
	per := len(phy2log) / ranks
	out := make([]float64, ranks)
	for r := range out {
		for _, e := range phy2log[r*per : (r+1)*per] {
			out[r] += load[e] / float64(copies[e])
		}
		out[r] = out[r] * float64(ranks) / total
	}
	return out
}
