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
// # Layers
//
// A layer is a list of blocks (layer.go): a mixer with its norms and a residual rule.
// Mixers are attention.go (grouped queries), latent.go (multi-head latent attention),
// mlp.go and experts.go; residual.go and norm.go have the rules and norms. One walk
// (walk.go, and routed.go for experts) runs them for both ways, with weights that are
// streamed or resident.
//
// # Adding a family
//
// A family is a row in families: which blocks it is made of, and which fields of its
// config they compute with. The names and shapes of its tensors are formats/model's
// business. docs/architecture.md says which file, row and test each addition takes.
package runner
