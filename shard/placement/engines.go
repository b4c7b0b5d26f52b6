package placement

import "slices"

// engines are the forms that engines read a placement in. vLLM itself reads none from
// a file: its proposals (pull requests 34811, 41141, 53022) are open.
var engines = []struct {
	file string
	// write returns the file, or why it cannot be.
	write func(*Placement) (data []byte, why string)
}{
	{"sglang-expert-location.json", sglang},
	{"vllm-ascend-expert-map.json", vllmAscend},
}

// sglang is what SGLang's --init-expert-location reads: physical_to_logical_map
// [layers][slots], with a row for each layer of the model, also for those without
// experts, where it is not looked at. No other key may stand beside it.
// (sgl-project/sglang, python/sglang/srt/eplb/expert_location.py:
// compute_initial_expert_location_metadata, init_by_mapping; num_layers is
// num_hidden_layers, so MTP layers have no row.)
func sglang(p *Placement) ([]byte, string) {
	if p.Shape.Unnumbered {
		return nil, `SGLang counts all layers of a model, and the load file does not say which it counts ("layers": [3, 4, …])`
	}
	main := p.withoutMTP()
	if len(main) == 0 {
		return nil, "there is no layer but MTP layers"
	}
	idle := make([]int, p.Slots)
	for i := range idle {
		idle[i] = i % p.Shape.Experts
	}
	rows := make([]any, main[len(main)-1].Number+1)
	for i := range rows {
		rows[i] = idle
	}
	for _, l := range main {
		rows[l.Number] = l.Phy2Log
	}
	w := &object{}
	w.rows("physical_to_logical_map", rows)
	data, _ := w.end() // integers cannot fail
	return data, ""
}

// vllmAscend is what vllm-ascend's expert_map_path reads: for each layer with experts,
// in order, the experts of each device. It holds an expert at most once on a device.
// (vllm-project/vllm-ascend, vllm_ascend/eplb: expert_file_to_tensor, init_eplb_config;
// layer_id counts layers with experts from 0, MTP layers keep the default.)
func vllmAscend(p *Placement) ([]byte, string) {
	type device struct {
		ID      int   `json:"device_id"`
		Experts []int `json:"device_expert"`
	}
	type layer struct {
		ID      int      `json:"layer_id"`
		Count   int      `json:"device_count"`
		Devices []device `json:"device_list"`
	}
	main := p.withoutMTP()
	rows := make([]any, len(main))
	for i, l := range main {
		row := layer{ID: i, Count: p.Config.Ranks}
		for r := range p.Config.Ranks {
			d := device{r, p.OfRank(l, r)}
			if list := sorted(d.Experts); len(slices.Compact(list)) < len(d.Experts) {
				return nil, "vllm-ascend has an expert at most once on a rank, and this placement has one twice"
			}
			row.Devices = append(row.Devices, d)
		}
		rows[i] = row
	}
	w := &object{}
	w.field("moe_layer_count", len(main))
	w.rows("layer_list", rows)
	data, _ := w.end() // integers cannot fail
	return data, ""
}

// withoutMTP are the layers that are not known to be MTP layers.
func (p *Placement) withoutMTP() []*Layer {
	var out []*Layer
	for i := range p.Layers {
		if !slices.Contains(p.Shape.MTP, p.Layers[i].Number) {
			out = append(out, &p.Layers[i])
		}
	}
	return out
}
