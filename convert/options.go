package convert

import (
	"fmt"
	"strconv"
	"strings"

	"quern/convert/plan"
)

// Version is the program's version. Output bytes may differ between versions.
const Version = "0.1.0"

// tool is what manifests say of the program.
const tool = "quern " + Version

// QuantizeOptions are the choices of a quantization that affect bytes. The zero
// value is DeepSeek's recipe.
type QuantizeOptions struct {
	UE8M0         bool     // scales are powers of two
	Search        bool     // least squared error instead of the absolute maximum
	Keep          []string // globs of module paths that stay as they are; * crosses dots
	PartialExpert bool     // allow Keep to name some experts of a layer only
	KeepBF16      bool     // kept F32, F16 and F64 matrices and norms become BF16
	KeepMTP       bool     // the multi-token prediction layer stays as it is
	KeepRagged    bool     // matrices that tiles do not divide stay as they are
	Requantize    bool     // FP8 input gets new scales: a second rounding
	ShardSize     int64    // bytes of data a file; 0: plan.DefaultShardSize
}

// list is the form in which options enter plan and manifest.
func (o QuantizeOptions) list() []plan.Option {
	pick := func(b bool, yes, no string) string {
		if b {
			return yes
		}
		return no
	}
	return []plan.Option{
		{Name: "allow-partial-experts", Value: strconv.FormatBool(o.PartialExpert)},
		{Name: "keep", Value: strings.Join(o.Keep, " ")},
		{Name: "keep-dtype", Value: pick(o.KeepBF16, "bf16", "source")},
		{Name: "mtp", Value: pick(o.KeepMTP, "keep", "quantize")},
		{Name: "ragged", Value: pick(o.KeepRagged, "keep", "quantize")},
		{Name: "requantize", Value: strconv.FormatBool(o.Requantize)},
		{Name: "scale-fmt", Value: pick(o.UE8M0, "ue8m0", "float")},
		{Name: "search", Value: pick(o.Search, "mse", "none")},
		{Name: "shard-size", Value: shardSize(o.ShardSize)},
	}
}

func shardSize(n int64) string {
	if n <= 0 {
		n = plan.DefaultShardSize
	}
	return fmt.Sprint(n)
}
