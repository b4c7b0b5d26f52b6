// Package metrics says how far two models are apart, from what both of them
// predict for the same tokens: perplexity, Kullback-Leibler divergence, top-1 and
// top-5 agreement, the probability of the token that really follows, the choice of
// experts, and the acceptance of drafted tokens.
//
// "Base" is the model that is trusted, "quant" the one that is in question.
//
// # A row at a time, a tile at a time
//
// [Row] takes the logits of one position in tiles of the vocabulary, so that
// nobody has to hold a row of 130,000 logits, and makes a [Token] of them;
// [Summarize], [ByPosition] and [Histogram] make figures of tokens. [One] is what
// [Row] is, for a model without a baseline.
//
// With the running maxima m of the logits a of base and b of quant, a row is
//
//	S_a = Σ exp(a−m_a)   S_b = Σ exp(b−m_b)   T = Σ exp(a−m_a)·(a−b)
//	KLD = Σ p_a (ln p_a − ln p_b) = T/S_a + (m_b−m_a) + (ln S_b − ln S_a)
//
// in float64, so that equal logits give exactly 0. The sums are scaled when a tile
// raises a maximum.
//
// # Definitions
//
// They are those of llama-perplexity (llama.cpp, examples/perplexity), without its
// 16-bit storage of the baseline and without its cut of probabilities below e⁻¹⁶:
// logarithms are natural, KLD and NLL in nats, everything else is a fraction. Ties
// between logits go to the lower id. A percentile f lies at f·(n−1) of the sorted
// values, interpolated linearly. An uncertainty is the standard error of a mean and
// what follows from it by linear propagation. It differs from llama-perplexity's
// √((E[x²]−E[x]²)/(n−1)), which it equals for one chunk, in that tokens of one chunk are
// not taken for independent: see measure.
//
// # What has no value
//
// A [Figure] that is not a finite number is null in JSON: a mean of no tokens, an
// uncertainty of one token, an infinite divergence. Nothing here is ever NaN in
// JSON.
package metrics
