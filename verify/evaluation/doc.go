// Package evaluation runs models over texts and says what they make of them: the
// perplexity of one, how far two are apart, the experts that both choose, and how
// often multi-token prediction guesses right.
//
// Of two models each reads its weights once (package runner, layer by layer); then
// the hidden states of both meet in their output heads, one tile of the vocabulary at
// a time, so that logits are never stored.
//
// Perplexity and divergence have llama-perplexity's definitions (package metrics).
package evaluation
