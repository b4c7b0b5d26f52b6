package recur

// Split takes apart the fused projections of Qwen3-Next, whose rows are grouped by
// key head: in_proj_qkvz holds for each key head its q, its k and the v and then z of
// its value heads; in_proj_ba the b and then the a of its value heads. (Qwen3.5
// stores in_proj_qkv, in_proj_z, in_proj_b and in_proj_a apart, in head order.)
type Split struct{ KeyHeads, ValueHeads, Keys, Values int }

// QKVZ writes one row as [q | k | v] and z, all in head order.
func (s Split) QKVZ(qkv, z, fused []float32) {
	keys, values := s.Keys, s.ValueHeads/s.KeyHeads*s.Values
	all := s.KeyHeads * keys
	for h := range s.KeyHeads {
		row := fused[h*2*(keys+values):]
		copy(qkv[h*keys:][:keys], row)
		copy(qkv[all+h*keys:][:keys], row[keys:])
		copy(qkv[2*all+h*values:][:values], row[2*keys:])
		copy(z[h*values:][:values], row[2*keys+values:])
	}
}

// BA writes one row as b and a, in head order.
func (s Split) BA(b, a, fused []float32) {
	r := s.ValueHeads / s.KeyHeads
	for h := range s.KeyHeads {
		copy(b[h*r:][:r], fused[h*2*r:])
		copy(a[h*r:][:r], fused[h*2*r+r:])
	}
}
