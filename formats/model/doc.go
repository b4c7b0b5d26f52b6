// Package model is what quern knows about architectures: the numbers of a
// config.json, and what the name of a tensor means.
//
// It is the only place that looks into tensor names. Everything else asks
// [Arch.Classify] and decides by [Role], so that a new architecture is a new row
// in a table here and no change elsewhere. The tables are, in the order in which
// a name meets them:
//
//   - towers and wrappers (locate.go): the path in front of the layers
//   - suffixes (params.go): scales, packed weights, biases
//   - vocabulary (vocabulary.go): the module names that architectures share
//   - families (families.go): what is special about one architecture
//   - shapes (shapes.go): what the config says about each tensor
//
// What no table places is [Unknown]: it is never quantized, and reported.
//
// Sources: the published checkpoints and the loaders of transformers, vLLM and
// SGLang for the names; DeepSeek's README_WEIGHTS for what its FP8 release
// quantizes.
package model
