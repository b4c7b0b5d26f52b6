// Package runner computes what a checkpoint's model computes: the forward pass of
// the architectures in family.go in float32, straight from safetensors, to find out
// what a checkpoint is worth. It is no serving engine.
//
// # Arithmetic
//
// Weights are dequantized to float32 exactly as engines are told to (code times
// scale, rounded once); sums are float32 (package gemm says in which order), the
// router included. A result depends on the checkpoint and the tokens alone: not on
// the number of workers, the memory, or what else is in the batch.
//
// # Two ways to run
//
// Model.Evaluate runs texts layer by layer: all tokens pass layer l before layer l+1
// is read, experts are read one at a time and only if a token chose them, so each
// byte of the checkpoint is read at most once, and memory holds the activations and
// a few matrices, however large the model. Activations that do not fit lie in a
// temporary file.
//
// Model.Generator produces text token by token with a cache of keys and values
// (for latent attention, of the latents) and a bounded cache of weights, and can
// draft with the multi-token-prediction layer.
//
// # Adding a family
//
// A family is a row in families: which blocks it uses. The blocks are attention.go
// (grouped queries), latent.go (multi-head latent attention), rope.go, router.go and
// experts.go. The names and shapes of its tensors are formats/model's business.
package runner
