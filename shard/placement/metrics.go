package placement

import "context"

// Metrics say how good a placement of one layer, or of all, is.
type Metrics struct {
	// Balance is the load of the fullest rank over the mean load of a rank; the load
	// of an expert is shared equally by its replicas. 1 is perfect. 0 where nothing
	// was counted.
	Balance float64 `json:"balance"`
	// Fanout is the mean number of ranks that a token is sent to, NodeFanout that of
	// nodes, when it takes each replica of its experts with equal probability, as
	// engines choose them; nil without a trace.
	Fanout     *float64 `json:"fanout"`
	NodeFanout *float64 `json:"node_fanout"`
}

// Mean is the mean over layers, of balances over those where something was counted.
func Mean(list []Metrics) Metrics {
	var m Metrics
	var n int
	var ranks, nodes float64
	for _, x := range list {
		if x.Balance > 0 {
			m.Balance += x.Balance
			n++
		}
		if x.Fanout != nil {
			ranks += *x.Fanout
			nodes += *x.NodeFanout
		}
	}
	m.Balance /= float64(max(n, 1))
	if len(list) > 0 && list[0].Fanout != nil {
		ranks, nodes = ranks/float64(len(list)), nodes/float64(len(list))
		m.Fanout, m.NodeFanout = &ranks, &nodes
	}
	return m
}

// Evaluate measures a placement layer by layer: with a trace on the part of it that
// no placement was made from, without one on the loads.
func (p *Placement) Evaluate(ctx context.Context, in *Input) ([]Metrics, error) {
	w, err := newWork(in, p.Config)
	if err != nil {
		return nil, err
	}
	if len(p.Layers) != len(in.Layers) || p.Shape.Experts != in.Experts {
		return nil, usagef("a placement of %d layers of %d experts, and counts of %d of %d", len(p.Layers), p.Shape.Experts, len(in.Layers), in.Experts)
	}
	out := make([]Metrics, len(p.Layers))
	err = w.each(ctx, func(i int, _, measured routing) error {
		out[i] = w.measure(i, measured, &p.Layers[i])
		return nil
	})
	return out, err
}

func (w *work) measure(i int, r routing, l *Layer) Metrics {
	copies := l.Copies()
	if r.tokens() == 0 {
		if w.in.Counts == nil {
			return Metrics{}
		}
		return Metrics{Balance: balance(w.in.Counts.Load[i], l.Phy2Log, copies, w.ranks)}
	}
	ranks, nodes := fanout(r, l.Phy2Log, copies, w.ranks), fanout(r, l.Phy2Log, copies, w.nodes)
	return Metrics{Balance: balance(r.load(w.experts), l.Phy2Log, copies, w.ranks), Fanout: &ranks, NodeFanout: &nodes}
}

// Comparison is a placement beside those of the other algorithms.
type Comparison struct {
	Placement *Placement // by the algorithm that was asked for
	// Split says what was measured; nil where there is no trace, and the balance is
	// that of the loads that the placements were made from.
	Split   *Split
	Metrics []map[Algorithm]Metrics // by layer
	Mean    map[Algorithm]Metrics
}

// Compare places the experts of all layers by every algorithm, and measures that.
func Compare(ctx context.Context, in *Input, c Config) (*Comparison, error) {
	w, err := newWork(in, c)
	if err != nil {
		return nil, err
	}
	cmp := &Comparison{Placement: w.placement(w.config.Algorithm), Metrics: make([]map[Algorithm]Metrics, len(in.Layers)), Mean: map[Algorithm]Metrics{}}
	if in.Trace != nil {
		cmp.Split = &in.Trace.Split
	}
	err = w.each(ctx, func(i int, made, measured routing) error {
		cmp.Metrics[i] = map[Algorithm]Metrics{}
		for _, a := range Algorithms {
			l, err := w.place(i, made, a)
			if err != nil {
				return err
			}
			if a == w.config.Algorithm {
				cmp.Placement.Layers[i] = l
			}
			cmp.Metrics[i][a] = w.measure(i, measured, &l)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, a := range Algorithms {
		var list []Metrics
		for _, m := range cmp.Metrics {
			list = append(list, m[a])
		}
		cmp.Mean[a] = Mean(list)
	}
	p := cmp.Placement
	p.Notes = append(p.Notes, p.uncounted()...)
	if in.Trace == nil {
		p.Notes = append(p.Notes, "without a trace the balance is that of the loads that the placement was made from, and fan-out is not known")
	}
	return cmp, nil
}

// balance is the largest load of a rank over the mean.
func balance(load []float64, phy2log []int, copies []int, ranks int) float64 {
	total := sum(load)
	if total == 0 {
		return 0
	}
	per := len(phy2log) / ranks
	var most float64
	for r := range ranks {
		var l float64
		for _, e := range phy2log[r*per : (r+1)*per] {
			l += load[e] / float64(copies[e])
		}
		most = max(most, l)
	}
	return most * float64(ranks) / total
}

// fanout is the mean number of bins, of so many slots each, that tokens are sent to.
func fanout(r routing, phy2log, copies []int, bins int) float64 {
	type share struct {
		bin  int32
		miss float64 // probability that a token of the expert misses the bin
	}
	experts := len(copies)
	per := len(phy2log) / bins
	shares := make([][]share, experts)
	for slot, e := range phy2log {
		b := int32(slot / per)
		k := len(shares[e]) - 1
		if k < 0 || shares[e][k].bin != b {
			shares[e] = append(shares[e], share{b, 1})
			k++
		}
		shares[e][k].miss -= 1 / float64(copies[e])
	}
	for _, list := range shares {
		for k := range list {
			if list[k].miss < 1e-9 {
				list[k].miss = 0
			}
		}
	}
	miss := make([]float64, bins)
	met := make([]bool, bins)
	touched := make([]int32, 0, bins)
	var total float64
	for t := range r.tokens() {
		for _, e := range r.token(t) {
			for _, s := range shares[e] {
				if !met[s.bin] {
					met[s.bin], miss[s.bin] = true, 1
					touched = append(touched, s.bin)
				}
				miss[s.bin] = float64(miss[s.bin] * s.miss)
			}
		}
		var hit float64
		for _, b := range touched {
			hit += 1 - miss[b]
			met[b] = false
		}
		total += hit
		touched = touched[:0]
	}
	return total / float64(max(r.tokens(), 1))
}
