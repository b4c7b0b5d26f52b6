// Package hyper holds the residual rules of models whose residual is several streams:
// DeepSeek-V4 and GLM-5.3 (manifold-constrained hyper-connections), Hy4 (independent
// ones) and Qwen3.8 (gated residual streams). A token's row is Streams·Hidden numbers,
// stream by stream. The embedding goes into every stream.
//
// # Hyper-connections
//
// Around each block f (norm and attention, or norm and experts), with x the streams:
//
//	m = (fn·x)/rms(x)                       one number a row of fn; rms with rms_norm_eps
//	pre_i   = sigmoid(m_i·scale_0 + base_i) + eps
//	post_i  = M·sigmoid(m_{n+i}·scale_1 + base_{n+i})              (Hy4: + eps)
//	comb    = Sinkhorn(m_{2n…}·scale_2 + base_{2n…})  [n][n]       (Hy4: the identity)
//	in      = Σ_i pre_i·x_i
//	x'_k    = post_k·f(in) + Σ_j comb_jk·x_j
//
// M is 2 in V4 and GLM-5.3, hc_magnitude in Hy4. Sinkhorn takes the softmax of each row,
// adds eps, divides columns by their sums + eps, and then, iterations−1 times, rows
// and columns. comb is used transposed: j, the row, is the stream that is read.
//
// Behind the last layer one stream is left: Σ pre_i·x_i with weights of its own (V4,
// Hy4: hc_head_{fn,base,scale}), or the mean (GLM-5.3). The final norm follows.
//
// # Gated residual streams
//
// With y_s = x_s/rms(x_s)·(1+w_s), each stream by itself, and n streams:
//
//	in    = mean_s( sigmoid(up(silu(down(y)/n)))_s ⊙ y_s )
//	x'_s  = x_s + 2·sigmoid(inject(y)_s/n)·f(in)
//
// where down, up and inject are matrices over all streams. There are no norms beside
// it. Behind the last layer in is computed once more, with matrices of its own, and
// takes the place of the final norm.
//
// Formulas: arXiv 2409.19606, DeepSeek-V4 report §2.2; held against transformers 5.24.0
// in testdata.
package hyper
