package placement

// contiguous is what engines do with a checkpoint when they are told nothing: slot i
// holds expert i, redundant slots begin again at expert 0, and each rank takes the
// next slots. (SGLang: ExpertLocationMetadata.init_trivial; vLLM:
// build_initial_global_physical_to_logical_map.)
func contiguous(g geometry) ([]int, [][]int) {
	phy2log := make([]int, g.slots)
	for i := range phy2log {
		phy2log[i] = i % g.experts
	}
	return phy2log, inverse(phy2log, g.experts)
}

// inverse lists the slots of each expert, ascending.
func inverse(phy2log []int, experts int) [][]int {
	log2phy := make([][]int, experts)
	for slot, e := range phy2log {
		log2phy[e] = append(log2phy[e], slot)
	}
	return log2phy
}
