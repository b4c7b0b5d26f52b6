package vec

// Softmax replaces x by e^(x−max)/Σe^(x−max). The division is a multiplication by
// the rounded reciprocal of the sum; a row of one finite element gives exactly 1,
// equal elements give equal results, elements 87 or more below the maximum, −Inf
// among them, give exactly 0. Where no distribution exists (an element is NaN or
// +Inf, or all are −Inf) all results are NaN, as in PyTorch.
func Softmax(x []float32) {
	if len(x) == 0 {
		return
	}
	p := current.Load()
	sum := p.softExp(x, p.max(x))
	p.scale(x, x, 1/sum)
}

// SoftmaxSink is Softmax over x and one further logit whose probability is
// dropped: the attention sink of gpt_oss. The sink takes part in the maximum, and
// e^(sink−max) is added to the sum last. So with a finite sink a row of nothing but
// −Inf gives zeros; the sink −Inf makes it Softmax.
func SoftmaxSink(x []float32, sink float32) {
	if len(x) == 0 {
		return
	}
	p := current.Load()
	m := max(p.max(x), sink)
	sum := p.softExp(x, m) + exp1(sink-m)
	p.scale(x, x, 1/sum)
}

func softExpGeneric(x []float32, m float32) float32 {
	var l lanes
	for i, v := range x {
		e := exp1(v - m)
		x[i] = e
		l[i%16] += e
	}
	return l.join()
}
