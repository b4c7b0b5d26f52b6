// Package file is the calibration file: what was measured of a model's activations.
//
// A calibration file is a safetensors file. It has, for each linear module that any
// token reached,
//
//	{module}.input_amax          F32 []     largest magnitude of what it is applied to
//	{module}.input_sq_sum        F64 [in]   by input channel, the sum of squares over tokens
//	{module}.input_count         I64 []     tokens that reached it
//	{module}.input_sketch        I64 [n]    optional: magnitudes, counted in buckets
//	{module}.input_group_sketch  I64 [n]    optional: largest magnitudes of groups of 128 channels
//
// for each attention block what it keeps of tokens,
//
//	{attention}.k_amax           F32 []     keys, rotated; with kv_latent the rotated key that heads share
//	{attention}.v_amax           F32 []     values
//	{attention}.kv_latent_amax   F32 []     latent attention: the normalized latent
//
// and for each layer l with E routed experts
//
//	model.layers.{l}.expert_load          I64 [E]     tokens that chose each
//	model.layers.{l}.expert_weight_sum    F64 [E]     sum of the gate weights, as applied
//	model.layers.{l}.expert_pairs_sparse  I64 [n, 3]  optional: two experts, the lower first, and how many
//	                                                  tokens chose both; ascending, without zeros
//	model.layers.{l}.expert_load_by_text  I64 [t, E]  optional: the load of each text
//
// The layer of multi-token prediction has the number behind the last one. A module
// that is absent was never reached.
//
// The buckets of sketches are those of package sketch: the last one has input_amax in
// it, the one before is next to it, and the first one, if there are 128, also has all
// that is smaller.
//
// Metadata: "quern_calibration" is "1", "tool" what wrote the file, "model" the identity
// of the model ([Identify]), "texts" a JSON list of the texts (name, digest of the token
// ids, numbers of tokens and sequences), "tokens" their number in all, "experts" that of
// a layer, "mtp_layers" a JSON list, "options" a JSON object of what the numbers depend
// on besides. There is no time, host, path or number of workers in it.
package file
