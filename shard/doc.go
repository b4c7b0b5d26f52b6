// Package shard divides a checkpoint into files by the ranks that read them.
//
// [Regroup] is a stage over a plan (package convert/plan), which the engine then
// executes as any other: a plan that copies (quern shard), or one that quantizes.
// Where experts go is decided by package shard/placement.
//
// # Files
//
// All tensors that belong to no single expert lie in the common files, which every
// rank reads. Each expert lies once, in a file that has the same readers
// throughout: the files of rank 0, those of rank 1, …; an expert that several ranks
// hold (redundant slots) lies in a file for just these ranks, behind the files of
// the first of them. So the files that a rank reads hold exactly the tensors that it
// needs. Files keep the names that loaders expect, model-00001-of-00042.safetensors;
// quern-placement.json says who reads which.
//
// Within a rank's files experts lie layer by layer, in the order of the rank's
// slots, and all tensors of an expert are adjacent: by descending alignment (scales
// in F32 before codes), then name. A file ends where the next expert would exceed
// the shard size, and rather between layers than within one. Where an expert's size
// would put the next one's tensors at offsets that are no multiple of their element
// size, the file is ordered by alignment first.
//
// # Baking
//
// Names, and with them the numbers of experts, stay as they are, unless Bake is set:
// then slot s of a layer becomes expert s, so that engines that place experts by
// index (which is all of them, without a map) have the placement. Routers, their
// biases, fused experts and whatever else goes by expert is permuted alike. Engines
// that limit routing to groups know groups by index too, so there whole groups
// change places, and experts within their group.
package shard
