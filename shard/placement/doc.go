// Package placement decides which rank of an expert-parallel deployment holds which
// experts, layer by layer, and measures how good that is.
//
// # What is placed where
//
// Each of U ranks, which lie in order in nodes of equal size, gets the same number of
// slots; slots beyond one for each expert hold replicas. A placement of a layer is
// phy2log, the expert of each slot, and its inverse log2phy.
//
// Three algorithms make one:
//
//   - [Contiguous]: index order, as engines load a checkpoint.
//   - [EPLB]: DeepSeek's load balancer, exactly: replicas of the experts with the most
//     load, packed by load; whole groups of experts on nodes where the nodes divide
//     the groups.
//   - [Quern]: like EPLB in load, and experts that are chosen together lie together.
//
// # Quern's algorithm
//
// EPLB's placement sets two limits, which may be exceeded by a tolerance: the load of
// the fullest rank, and the mean square of the ranks' loads in windows of the text
// (32 or fewer stretches of it, one after the other). The windows matter because
// experts that are chosen together are also busy together: without them, locality is
// bought with ranks that are overrun whenever the text turns to their subject, which
// totals do not show. Within the limits an annealing search with a fixed seed and a
// fixed number of steps looks for the most co-activation inside ranks, and, counted
// three times, inside nodes. EPLB's placement is itself within the limits, so the
// result never lies outside. Where nodes divide the groups, a node holds whole groups
// (so a token of group-limited routing meets no more nodes than groups), and which
// groups share a node is decided the same way. No expert lies twice on a rank, unless
// its node has no other for the slot or that would cost more than 5 % of balance.
// Without co-activation only the balance is improved; without counts the placement is
// contiguous, and says so.
//
// Results do not depend on the machine or the number of workers: what is summed up
// along a search are integers or sums and quotients, and a product that is added to
// something is rounded first, so that no processor fuses the two.
//
// # What is measured
//
// Balance is the load of the fullest rank over the mean, when replicas share the load
// of their expert equally. Fan-out is the mean number of ranks (or nodes) that a token
// is sent to when it takes each replica with equal probability: vLLM and SGLang choose
// replicas without regard to the token's other experts. With a trace both are measured
// on its last fifth, which no placement is made from ([Split]).
//
// # Files
//
// Loads come from
//
//   - a calibration file (safetensors) with model.layers.{l}.expert_load I64 [E], and
//     optionally how often two experts were chosen for one token:
//     model.layers.{l}.expert_pairs I64 or U64 [E, E], symmetric, the diagonal being
//     ignored; or model.layers.{l}.expert_pairs_sparse I64 [n, 3], rows of two experts,
//     the lower first, and a count, in ascending order, pairs that never were left out;
//   - JSON {"load": [[counts of the experts of a layer], …]}, to which "layers": [3, 4,
//     …] may give the layers' numbers;
//   - JSON {"logical_count": …}, SGLang's recording as its --init-expert-location reads
//     it: [layers][experts] with a row for every layer of the model, or [steps][layers]
//     [experts]. Rows of zeros are layers without experts.
//
// A trace (safetensors) holds router.{l}.indices I32 or I64 [tokens, k], and may hold
// input_ids [tokens], offsets I32 or I64 (where each text begins) and the metadata key
// experts (how many a layer has). A layer with fewer tokens than the others is taken
// for an MTP layer, which has none for the first token of a text.
//
// Recordings of PyTorch are pickles and are refused.
package placement
