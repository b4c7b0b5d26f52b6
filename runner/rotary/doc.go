// Package rotary holds what newer models add to rotary embeddings: inverse frequencies
// of the types longrope, proportional and dynamic, learned ones, and scales of queries
// that grow with the position. (Types default, linear, llama3 and yarn are the
// runner's own.)
//
// A pair of channels i of d turns by p·f_i at the position p, f_i = theta^(−2i/d)
// unless a type says otherwise.
//
// Multimodal rope (mrope_section; Qwen3-VL, Qwen3.5) gives each pair the position along
// one of three axes. A text has the same position on all three, so that for text it is
// the plain rope, interleaved sections or not.
//
// Formulas: transformers 5.24.0, modeling_rope_utils.py and the models named.
package rotary
