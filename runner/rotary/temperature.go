package rotary

import "math"

// Temperature is Llama 4's scale of queries on layers without rope, if
// attn_temperature_tuning: 1 + scale·ln(1+⌊(p+1)/floor⌋) with floor_scale and
// attn_scale. Position p counts from 0.
func Temperature(p int, floor, scale float64) float32 {
	return float32(1 + scale*math.Log1p(math.Floor(float64(p+1)/floor)))
}

// Beta is Mistral 4's scale of queries, rope part and rest: 1 + beta·ln(1+⌊p/original⌋)
// with llama_4_scaling_beta and original_max_position_embeddings of the rope.
func Beta(p, original int, beta float64) float32 {
	return float32(1 + beta*math.Log1p(math.Floor(float64(p)/float64(original))))
}

// Log is Mistral Large 4's scale of a head's queries: scale·ln(p+1)+bias, with numbers
// of the head's own.
func Log(p int, scale, bias float32) float32 {
	return scale*float32(math.Log(float64(p+1))) + bias
}
