package placement

// eplb is the algorithm of DeepSeek's expert parallelism load balancer
// (deepseek-ai/EPLB, eplb.py) for one layer, in its float32 arithmetic and with
// its choices between equals: hierarchical where the nodes divide the groups, else
// over all ranks as if there were one group and one node.
//
// The one sum whose order the original leaves to the machine, that of the loads of
// a group, is exact here before it is rounded to float32. Below 2^24 tokens in a
// group every order gives the same.
func eplb(load []float64, g geometry) ([]int, [][]int) {
	if !g.wholeGroups() {
		g.groups, g.nodes = 1, 1
	}
	bin, at := pack(groupLoads(load, g), g.nodes)
	return fill(load, g, nodeOrder(g, bin, at), g.slots)
}

// groupLoads are the loads of groups of experts.
func groupLoads(load []float64, g geometry) []float32 {
	size := g.experts / g.groups
	out := make([]float32, g.groups)
	for i := range out {
		out[i] = float32(sum(load[i*size : (i+1)*size]))
	}
	return out
}

// nodeOrder lists the experts node by node, when group i is the at[i]-th of node
// bin[i].
func nodeOrder(g geometry, bin, at []int) []int {
	size := g.experts / g.groups
	order := make([]int, g.experts)
	for i := range bin {
		place := (bin[i]*(g.groups/g.nodes) + at[i]) * size
		for k := range size {
			order[place+k] = i*size + k
		}
	}
	return order
}

// fill gives each node its experts, which order lists node by node, replicates them
// there, at most so many times each, and packs the replicas into the node's ranks.
func fill(load []float64, g geometry, order []int, most int) ([]int, [][]int) {
	perNode, slots, ranks := g.experts/g.nodes, g.slots/g.nodes, g.ranks/g.nodes
	phy2log, log2phy := make([]int, g.slots), make([][]int, g.experts)
	for n := range g.nodes {
		local := order[n*perNode : (n+1)*perNode]
		w := make([]float32, perNode)
		for i, e := range local {
			w[i] = float32(load[e])
		}
		of, copies := replicate(w, slots, most)
		share := make([]float32, slots)
		for i, e := range of {
			share[i] = w[e] / float32(copies[e])
		}
		// Replicas are met in the order in which they were made, which is the
		// order of log2phy.
		bin, at := pack(share, ranks)
		for i, e := range of {
			slot := n*slots + bin[i]*(slots/ranks) + at[i]
			phy2log[slot] = local[e]
			log2phy[local[e]] = append(log2phy[local[e]], slot)
		}
	}
	return phy2log, log2phy
}

// pack deals items out to bins of equal capacity: in order of falling weight, each
// to the bin of least weight that has room, the first of equals. It returns the bin
// of each item and its place in it. Bins of one item keep the order of the items.
func pack(w []float32, bins int) (bin, at []int) {
	bin, at = make([]int, len(w)), make([]int, len(w))
	room := len(w) / bins
	if room == 1 {
		for i := range bin {
			bin[i] = i
		}
		return bin, at
	}
	sums, count := make([]float32, bins), make([]int, bins)
	for _, i := range falling(w) {
		b := -1
		for k := range sums {
			if count[k] < room && (b < 0 || sums[k] < sums[b]) {
				b = k
			}
		}
		bin[i], at[i] = b, count[b]
		sums[b] += w[i]
		count[b]++
	}
	return bin, at
}

// replicate gives each of the items one slot and each further slot to the item
// whose replicas carry most, the first of equals; none gets more than most, while
// another may still have one. It returns the item of each slot, in the order in
// which they were given, and how many each item got.
func replicate(w []float32, slots, most int) (of, copies []int) {
	copies = make([]int, len(w))
	of = make([]int, len(w), slots)
	for i := range w {
		of[i], copies[i] = i, 1
	}
	for len(of) < slots {
		best := -1
		for pass := 0; best < 0; pass++ {
			for i := range w {
				if pass == 0 && copies[i] >= most {
					continue
				}
				if best < 0 || w[i]/float32(copies[i]) > w[best]/float32(copies[best]) {
					best = i
				}
			}
		}
		of = append(of, best)
		copies[best]++
	}
	return of, copies
}
