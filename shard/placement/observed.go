package placement

import "slices"

// observed is what a placement of one layer is made from.
type observed struct {
	load []float64 // [expert]
	// pairs says how often two experts were chosen together [expert][expert], with
	// zeros on the diagonal; nil where that is not known.
	pairs []float64
	// crowding is the product of the loads of two experts, each as a share of its
	// window's, summed over so many windows: stretches of the text, one after the
	// other [expert][expert]; nil without a trace.
	crowding []float64
	windows  int
	made     routing // the choices themselves; empty without a trace
}

// Windows are as many as leave each rank 50 choices in every one of them, so that
// their balance is more than noise, and not more than 32. A few say no more than the
// whole does.
const (
	maxWindows    = 32
	minWindows    = 4
	windowPerRank = 50
)

// observe collects what is known of layer i: its loads, and with all the rest too.
func (in *Input) observe(i int, g geometry, made routing, all bool) (observed, error) {
	var o observed
	traced := made.tokens() > 0
	switch {
	case in.Counts != nil:
		o.load = in.Counts.Load[i]
	case traced:
		o.load = made.load(g.experts)
	}
	switch {
	case !all || g.slots > maxPairs:
	case traced:
		o.made = made
		if n := min(len(made.choices)/(g.ranks*windowPerRank), maxWindows); n >= minWindows {
			o.windows, o.crowding = n, made.crowding(g.experts, n)
		}
		o.pairs = made.pairs(g.experts)
	case in.Counts != nil:
		var err error
		if o.pairs, err = in.Counts.pairs(in.Counts.Layers[i]); err != nil {
			return o, err
		}
	}
	return o, nil
}

// load counts the tokens of each expert.
func (r routing) load(experts int) []float64 {
	out := make([]float64, experts)
	for _, e := range r.choices {
		out[e]++
	}
	return out
}

// windows counts them in n stretches of equal length.
func (r routing) windows(experts, n int) [][]float64 {
	out := make([][]float64, n)
	t := r.tokens()
	for w := range out {
		from, to := t*w/n, t*(w+1)/n
		out[w] = routing{r.k, r.choices[from*r.k : to*r.k]}.load(experts)
	}
	return out
}

// crowding sums the products of the shares that experts have in n windows.
func (r routing) crowding(experts, n int) []float64 {
	out := make([]float64, experts*experts)
	for _, load := range r.windows(experts, n) {
		total := sum(load)
		for a, x := range load {
			if load[a] = x / total; x == 0 {
				continue
			}
			row := out[a*experts : (a+1)*experts]
			for b, y := range load[:a+1] {
				row[b] += float64(load[a] * y)
			}
		}
	}
	for a := range experts {
		for b := range a {
			out[b*experts+a] = out[a*experts+b]
		}
	}
	return out
}

// pairs counts how often two experts were chosen for one token: symmetric, with
// zeros on the diagonal.
func (r routing) pairs(experts int) []float64 {
	n := make([]uint32, experts*experts)
	for t := range r.tokens() {
		chosen := r.token(t)
		for i, a := range chosen {
			row := n[int(a)*experts : (int(a)+1)*experts]
			for _, b := range chosen[:i] {
				row[b]++
			}
		}
	}
	out := make([]float64, len(n))
	for a := range experts {
		for b := range a {
			x := float64(n[a*experts+b]) + float64(n[b*experts+a])
			out[a*experts+b], out[b*experts+a] = x, x
		}
	}
	return out
}

// grouped is what was observed, of groups of experts.
func (o observed) grouped(g geometry) observed {
	size := g.experts / g.groups
	out := observed{load: make([]float64, g.groups), windows: o.windows}
	for e, x := range o.load {
		out.load[e/size] += x
	}
	squared := func(m []float64) []float64 {
		if m == nil {
			return nil
		}
		sums := make([]float64, g.groups*g.groups)
		for i, x := range m {
			sums[i/g.experts/size*g.groups+i%g.experts/size] += x
		}
		return sums
	}
	out.crowding = squared(o.crowding)
	if out.pairs = squared(o.pairs); o.made.tokens() > 0 {
		out.pairs = o.made.groupPairs(g.groups, size)
	}
	return out
}

// groupPairs counts how often two groups were chosen together, token by token.
func (r routing) groupPairs(groups, size int) []float64 {
	out := make([]float64, groups*groups)
	met := make([]int, 0, r.k)
	for t := range r.tokens() {
		met = met[:0]
		for _, e := range r.token(t) {
			a := int(e) / size
			if slices.Contains(met, a) {
				continue
			}
			for _, b := range met {
				out[a*groups+b]++
				out[b*groups+a]++
			}
			met = append(met, a)
		}
	}
	return out
}
