package file

import (
	"strconv"
	"strings"

	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// Kind is what a tensor of a calibration file holds.
type Kind uint8

// The kinds, in the order of the package comment.
const (
	InputAmax Kind = iota
	InputSquares
	InputCount
	InputSketch
	InputGroupSketch
	CacheAmax // of any of CacheKinds
	ExpertLoad
	ExpertWeightSum
	ExpertPairs
	ExpertTextLoad
)

// kinds are, by Kind, the last part of the name, the type and the number of
// dimensions.
var kinds = [...]struct {
	name  string
	dtype safetensors.DType
	rank  int
}{
	InputAmax:        {"input_amax", safetensors.F32, 0},
	InputSquares:     {"input_sq_sum", safetensors.F64, 1},
	InputCount:       {"input_count", safetensors.I64, 0},
	InputSketch:      {"input_sketch", safetensors.I64, 1},
	InputGroupSketch: {"input_group_sketch", safetensors.I64, 1},
	CacheAmax:        {"", safetensors.F32, 0},
	ExpertLoad:       {"expert_load", safetensors.I64, 1},
	ExpertWeightSum:  {"expert_weight_sum", safetensors.F64, 1},
	ExpertPairs:      {"expert_pairs_sparse", safetensors.I64, 2},
	ExpertTextLoad:   {"expert_load_by_text", safetensors.I64, 2},
}

// CacheKinds are what attention may keep of a token.
var CacheKinds = []string{"k", "v", "kv_latent"}

// Name is that of a tensor of a module.
func (k Kind) Name(module string) string { return module + "." + kinds[k].name }

// DType is the type of the kind's elements.
func (k Kind) DType() safetensors.DType { return kinds[k].dtype }

// LayerName is the name of a tensor of a layer.
func (k Kind) LayerName(layer int) string { return k.Name("model.layers." + strconv.Itoa(layer)) }

// CacheName is the name of the maximum of what attention keeps.
func CacheName(attention, kind string) string { return attention + "." + kind + "_amax" }

// ParseName divides the name of a tensor: the kind; the module or attention block,
// with what it keeps; or the layer, which is −1 for what is no layer's.
func ParseName(name string) (k Kind, module, cache string, layer int, err error) {
	module, last := "", name
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		module, last = name[:i], name[i+1:]
	}
	layer = -1
	for i := range kinds {
		if k = Kind(i); kinds[i].name != last || last == "" {
			continue
		}
		if k >= ExpertLoad {
			n, ok := strings.CutPrefix(module, "model.layers.")
			layer, err = strconv.Atoi(n)
			if !ok || err != nil || strconv.Itoa(layer) != n || layer < 0 || layer > 1<<16 {
				return k, module, "", -1, invalid.Errorf("%q is no layer", module)
			}
		}
		if module == "" {
			return k, module, "", layer, invalid.Errorf("of no module")
		}
		return k, module, "", layer, nil
	}
	for _, c := range CacheKinds {
		if last == c+"_amax" && module != "" {
			return CacheAmax, module, c, -1, nil
		}
	}
	return 0, "", "", -1, invalid.Errorf("a calibration file holds no such thing")
}
