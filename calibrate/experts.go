package calibrate

import "slices"

// experts is what was seen of the choices of a layer's router.
type experts struct {
	load   []int64
	weight []float64
	pairs  []int64   // [E, E], where the lower expert comes first; or nil
	texts  [][]int64 // loads by text; or nil
}

func newExperts(n, texts int, pairs bool) *experts {
	e := &experts{load: make([]int64, n), weight: make([]float64, n)}
	if pairs {
		e.pairs = make([]int64, n*n)
	}
	for range texts {
		e.texts = append(e.texts, make([]int64, n))
	}
	return e
}

// add counts the choices of tokens, k each, of a text; a text below 0 is none.
func (e *experts) add(text int, ids []int32, weights []float32, k int) {
	for i, id := range ids {
		if int(id) >= len(e.load) { // gives what it reads (LongCat)
			continue
		}
		e.weight[id] += float64(weights[i])
		if slices.Contains(ids[i/k*k:i], id) { // a table names it twice (DeepSeek-V4)
			continue
		}
		e.load[id]++
		if e.texts != nil && text >= 0 {
			e.texts[text][id]++
		}
	}
	if e.pairs == nil {
		return
	}
	n := len(e.load)
	for ; len(ids) >= k && k > 0; ids = ids[k:] {
		for i, a := range ids[:k] {
			for _, b := range ids[:i] {
				if int(max(a, b)) < n {
					e.pairs[int(min(a, b))*n+int(max(a, b))]++
				}
			}
		}
	}
}

// sparse are the rows of a file's pairs: two experts and a count.
func (e *experts) sparse() []int64 {
	var out []int64
	n := len(e.load)
	for a := range n {
		for b := a + 1; b < n; b++ {
			if c := e.pairs[a*n+b]; c > 0 {
				out = append(out, int64(a), int64(b), c)
			}
		}
	}
	return out
}
