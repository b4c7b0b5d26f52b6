package convert

import (
	"fmt"
	"strings"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/invalid"
)

// cacheScales is the stage that gives attention blocks the scales of what they
// keep, under the names BLOCK.k_proj.k_scale and BLOCK.v_proj.v_scale. Those are
// modelopt's, and of the names that vLLM and SGLang know the ones that they find
// for latent attention too (vLLM weight_utils.py, maybe_remap_kv_scale_name; SGLang
// deepseek_v2.py, load_weights).
func (q *quantizer) cacheScales(p *plan.Plan) error {
	if !q.CacheScales {
		return nil
	}
	at := map[int][]plan.Tensor{} // scales by the index of their block's first weight
	blocks := map[string]bool{}   // by path: whether it has got scales
	var without []string
	for i := range p.Tensors {
		t := &p.Tensors[i]
		block := attention(t)
		if _, seen := blocks[block]; block == "" || seen {
			continue
		}
		k, v, reached, err := q.cacheAmax(block)
		if err != nil {
			return err
		}
		if blocks[block] = reached; !reached {
			without = append(without, block)
			continue
		}
		at[i] = []plan.Tensor{
			constant(t, block+".k_proj", "k_scale", scaleFor(k, e4m3Most)),
			constant(t, block+".v_proj", "v_scale", scaleFor(v, e4m3Most)),
		}
	}
	switch {
	case len(blocks) == len(without):
		return invalid.Errorf("calibration: it has nothing of what this model's attention keeps, so that --kv-scales has nothing to go by")
	case len(without) > 0:
		p.Notes = append(p.Notes, fmt.Sprintf("the calibration never reached %s: no scales of keys and values, for which engines take 1", few(without, "attention blocks")))
	}
	out := make([]plan.Tensor, 0, len(p.Tensors)+2*len(at))
	replaced := 0
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if plan.IsCacheScale(&t.Meta) && (blocks[t.Meta.Module] || blocks[parent(t.Meta.Module)]) {
			replaced++
			continue
		}
		out = append(append(out, at[i]...), *t)
	}
	if replaced > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("%d scales of keys and values that the input has are replaced by the calibration's", replaced))
	}
	p.Tensors = out
	p.Regroup(withWeight(p))
	return nil
}

// e4m3Most is E4M3's largest number, in which caches are kept.
const e4m3Most = 448

// attention is the path of the attention block that weight t belongs to, "" if it
// is no weight of one.
func attention(t *plan.Tensor) string {
	if t.Meta.Role != model.Attention || t.Meta.Param != "weight" {
		return ""
	}
	return parent(t.Meta.Module)
}

// parent is the path of the module that a module lies in.
func parent(module string) string { return module[:max(strings.LastIndexByte(module, '.'), 0)] }

// cacheAmax is the largest magnitude of keys and of values. Latent attention keeps
// one latent for both, and beside it a rotated key that engines store with the
// scale of the latent; its two scales must be equal (sgl-project/sglang#34765).
func (q *quantizer) cacheAmax(block string) (k, v float32, reached bool, err error) {
	get := func(kind string) (amax float32, ok bool) {
		if amax, ok = q.Calibration.CacheAmax(block, kind); ok && err == nil {
			amax, err = maximum(amax, ok, "largest "+kind, block)
		}
		return amax, ok
	}
	latent, isLatent := get("kv_latent")
	k, hasK := get("k")
	v, hasV := get("v")
	if isLatent {
		latent = max(latent, k, v) // those that it lacks are 0
		return latent, latent, true, err
	}
	return k, v, hasK && hasV, err
}
