// Package sparse chooses the keys that a token attends to, and attends to them: the
// indexers of DeepSeek-V3.2 and its kin, the block-sparse one of MiniMax-M3, the
// compressors of DeepSeek-V4 and the pooled keys of GLM-5.3. All work on rows of
// float32; projections, norms of queries and rotary embeddings are the caller's.
//
// # Indexers by token (DSA)
//
// Inputs: the layer's normed input x, and the query latent c = q_a_layernorm(q_a_proj x).
//
//	q = wq_b c                 [Heads][Size], then rotary
//	k = LayerNorm(wk x)        [Size], then rotary; kept for every token
//	w = weights_proj x         [Heads]
//	score(s) = Σ_h w_h·Heads^-½ · relu(Size^-½·q_h·k_s)       ([Indexer])
//
// A token attends to the k visible keys of the largest score ([Selector.Top]); a
// "shared" layer takes the choice of the last "full" layer before it. Where the
// families differ:
//
//	deepseek_v32   LayerNorm eps 1e-6; the first qk_rope_head_dim channels rotate, in halves
//	glm_moe_dsa    the same, rotated in pairs (interleaved)
//	hy_v4          LayerNorm eps rms_norm_eps; the last channels rotate, in halves
//	glm5_next      no rotation; the keys are pooled (below), relu(Size^-½·q·k) as above
//	deepseek_v4    no LayerNorm: keys are compressed (below); the last channels of q rotate in pairs
//
// The Hadamard rotation that some kernels apply to q and k leaves their products as
// they are and is not computed.
//
// Scores tie often: where relu makes every head zero, the score is zero. torch.topk
// breaks ties by the way its partial sort moves elements, so a token's choice there
// depends on the number of keys in the pass. Selector does the same steps, and so
// makes the same choice.
//
// # Compressors (DeepSeek-V4) and pools (GLM-5.3)
//
// Every Ratio tokens become one entry ([Pool]): with kv = wkv x, z = wgate x and a
// bias (ape) by place in the window and channel,
//
//	e = Σ_j softmax_j(z_j + bias_j) ⊙ kv_j           softmax over the window, by channel
//
// then, in V4, RMSNorm with weight and a rotary embedding of the last channels at the
// position of the window's first token. With Overlap (V4's ratio 4) a token has two
// halves [a | b]: the window's entry takes b of its own tokens and a of those of the
// window before, 2·Ratio terms (Ratio in the first window). Entry w may be seen by
// the token at position t if w < (t+1)/Ratio.
//
// V4's attention is one key head whose keys are its values: the last sliding_window
// tokens (the token's own among them) and entries: all that may be seen (ratio 128), or
// the index_topk that an indexer over entries of its own chooses (ratio 4). One sink a
// head joins the softmax. The last channels of the output are rotated back by the
// token's position. The output projection is grouped: heads in o_groups groups, each
// with its rows of wo_a, then wo_b over all groups' results.
//
// GLM-5.3 pools the normed keys of its indexer with z = index_kpool_compress_gate x; a
// token attends to the tokens of the best index_topk/Ratio pools that are complete at
// its position, and to those behind the last complete pool ([Tail]).
//
// Qwen3.8 (QSA) pools by the mean: its gates are zero. q and k of index_qk_proj have
// norms of weight 1+w, k behind the mean, then rotate in halves, k at the position of
// the pool's first token; score = Σ_h relu(q_h·k)·Size^-½, which is Indexer's with
// weights of Heads^½. It chooses among the pools that are complete at the token's
// position, so that the number of scores is that of those pools, and adds the tail.
//
// # Blocks (MiniMax-M3)
//
// Index heads, one for each key head: q_h = rms(q_proj x), k = rms(k_proj x), weights
// 1+w, rotated like the attention's. A block of keys has the largest q_h·k_s of its
// visible keys as score; blocks within Local of the token's own always win ([Blocks]).
// The heads of key head h attend to the visible keys of its blocks.
//
// Formulas: DeepSeek-V3.2 report eq. 1–2; DeepSeek-V4 report §2.3 (arXiv 2606.19348);
// held against transformers 5.24.0 in testdata.
package sparse
