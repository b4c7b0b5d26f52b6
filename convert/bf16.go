package convert

import (
	"fmt"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/scheme"
)

// BF16Options are the choices of PlanBF16 that affect bytes.
type BF16Options struct {
	ShardSize int64 // bytes of data a file; 0: plan.DefaultShardSize
}

// PlanBF16 plans the BF16 form of c: FP8 weights times their scales, of any
// known name, dtype and granularity; other F32, F16 and F64 matrices and norms
// rounded; biases and the like as they are. Scales and quantization_config go.
func PlanBF16(c *hf.Checkpoint, o BF16Options) (*plan.Plan, error) {
	p := plan.New(c)
	if _, err := plan.Unpack(p, c); err != nil {
		return nil, err
	}
	p.Tool, p.Command = tool, "convert"
	p.Options = []plan.Option{{Name: "shard-size", Value: shardSize(o.ShardSize)}, {Name: "to", Value: "bf16"}}
	for _, stage := range []plan.Stage{remarks(c), staleWords, dropOrphans, dequantize(quantization(c).Tile()), castKept(true), checkFinite, bf16Config(c)} {
		if err := stage(p); err != nil {
			return nil, err
		}
	}
	if err := p.Pack(o.ShardSize); err != nil {
		return nil, err
	}
	return p, nil
}

// dequantize is the stage that replaces FP8 weights and their scales by BF16.
func dequantize(block []int64) plan.Stage {
	return func(p *plan.Plan) error {
		for i := range p.Tensors { // first: their scales have names that pair with nothing
			t := &p.Tensors[i]
			if t.Op == plan.Copy && t.Meta.Packed() || (!t.DType.IsFloat() || t.DType.Bits() < 8) && t.Meta.Role.Linear() && t.Meta.Param == "weight" {
				return invalid.Errorf("tensor %q: packed or integer weights of dtype %s cannot be converted to BF16", t.Name, t.DType)
			}
		}
		scales, err := plan.PairScales(p)
		if err != nil {
			return err
		}
		old := p.Tensors
		p.Tensors = make([]plan.Tensor, 0, len(old))
		dropped := 0
		for i := range old {
			t := old[i]
			switch {
			case t.Meta.Role == model.Scale:
				if !t.Meta.Multiplies {
					dropped++
				}
				continue
			case t.Coded():
				from := &old[scales[t.Name]]
				grid, err := plan.ScaleGrid(&t, from, block)
				if err != nil {
					return err
				}
				if grid.Parts > 1 && len(t.Shape) == 2 {
					p.Notes = append(p.Notes, fmt.Sprintf("%s: its scales %v are read as those of %d joined parts, each tiled for itself", t.Name, from.Shape, grid.Parts))
				}
				scale := from.Source
				t.Op, t.DType, t.Scale, t.Grid = plan.Dequantize, safetensors.BF16, &scale, &grid
				t.Source.Shape = scheme.Flat(t.Shape)
			}
			p.Tensors = append(p.Tensors, t)
		}
		if dropped > 0 {
			p.Notes = append(p.Notes, fmt.Sprintf("dropped, since a BF16 checkpoint has no use for them: scales of activations and caches (%d)", dropped))
		}
		p.Regroup(func(int) bool { return false })
		return nil
	}
}
