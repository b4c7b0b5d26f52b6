// Package recur holds the token mixers that carry a state of fixed size instead of
// keys and values: the gated delta rule (Qwen3-Next, Qwen3.5), Kimi delta attention
// (Kimi Linear, Ling 3, GLM-5.3) and Mamba-2 (Nemotron-H). All work on rows of
// float32; projections are the caller's.
//
// # The layer
//
// A row of the projected and convolved input holds q, k and v of all heads. A value
// head h uses the keys of head h/r, with r value heads for each key head. Its state S
// is a matrix of Keys rows and Values columns, zero before the first token. A token
// with the decay a (one number, or one for each row of S; in (0, 1]) and the rate b
// does
//
//	S ← diag(a)·S
//	u = b·(v − Sᵀk)        with the delta rule
//	u = b·v                without
//	S ← S + k·uᵀ
//	o = Sᵀq
//
// The mixers differ in what they put in:
//
//	mixer          q, k                     a                                        b
//	gated delta    l2norm, q·Keys^-½        e^(−e^A_log[h]·softplus(a[h]+dt_bias[h]))  sigmoid(b[h])
//	Kimi delta     l2norm, q·Keys^-½        by channel c of head h:                  sigmoid(b[h])
//	                                        e^(−e^A_log[h]·softplus(f[h,c]+dt_bias[h,c])), or with
//	                                        a lower bound L: e^(L·sigmoid(e^A_log[h]·(f[h,c]+dt_bias[h,c])))
//	Mamba-2        C, B of the head's group e^(−e^A_log[h]·dt)                       dt = clamp(softplus(dt[h]+dt_bias[h]))
//	               (no delta rule), and o += D[h]·v
//
// with l2norm(x) = x/√(Σx²+1e-6). Before that q, k and v pass a causal depthwise
// convolution with SiLU over the concatenation of their channels ([Conv]). After it
// comes a gated norm ([Norm]): rms(o)·w·silu(z) for the gated delta rule,
// rms(o)·w·sigmoid(g) for Kimi's, both over one head's Values; for Mamba-2
// rms(o·silu(z))·w over a group of Heads·Values/Groups channels.
//
// # Chunks
//
// Within a chunk of C tokens let P_i be the product of the decays of tokens 1…i and
// D_ij that of tokens j+1…i. Then
//
//	u_i = b_i·(v_i − (P_i k_i)ᵀS − Σ_{j<i} (k_iᵀ D_ij k_j)·u_j)
//	o_i = (P_i q_i)ᵀS + Σ_{j≤i} (q_iᵀ D_ij k_j)·u_j
//	S ← P_C S + Σ_j (D_Cj k_j)·u_jᵀ
//
// which reads the state once a chunk, not twice a token (the UT transform of arXiv
// 2412.06464, here by forward substitution because S is known). D_ij is made by
// multiplying, never by dividing P_i by P_j: decays near zero, as a lower bound of −5
// allows, would overflow. A chunk computes what its tokens would one by one, up to
// rounding; it is not equal to the bit.
//
// Formulas: arXiv 2412.06464 (gated delta rule), 2510.26692 (Kimi Linear), 2405.21060
// (Mamba-2); held against transformers 5.24.0 in testdata.
package recur
