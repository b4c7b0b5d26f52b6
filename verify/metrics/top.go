package metrics

import "math"

// places is how many of the highest logits are kept.
const places = 5

// top holds the highest logits of a row, highest first, ties by id.
type top struct {
	logit [places]float32
	id    [places]int
	n     int
}

// scan takes in the logits of the ids from first on, which are higher than all ids
// before. It stops at a logit that is NaN or +Inf and returns its index, else −1.
func (t *top) scan(logits []float32, first int) int {
	// Nearly all logits are below the last place: one comparison each, which is
	// written so that NaN is not, four to a turn of the loop.
	limit := t.limit()
	i := 0
	for {
		for ; i+4 <= len(logits); i += 4 {
			x := logits[i : i+4 : i+4]
			if !(x[0] <= limit) || !(x[1] <= limit) || !(x[2] <= limit) || !(x[3] <= limit) {
				break
			}
		}
		end := min(i+4, len(logits))
		if i == end {
			return -1
		}
		for ; i < end; i++ {
			if x := logits[i]; !(x <= limit) {
				if !(x <= math.MaxFloat32) {
					return i
				}
				t.insert(x, first+i)
				limit = t.limit()
			}
		}
	}
}

// limit is what a logit has to exceed to take a place. While there are places left
// it is NaN, which no logit is at most.
func (t *top) limit() float32 {
	if t.n < places {
		return float32(math.NaN())
	}
	return t.logit[places-1]
}

// insert puts a logit behind those that are at least as high.
func (t *top) insert(x float32, id int) {
	t.n = min(t.n+1, places)
	i := t.n - 1
	for ; i > 0 && t.logit[i-1] < x; i-- {
		t.logit[i], t.id[i] = t.logit[i-1], t.id[i-1]
	}
	t.logit[i], t.id[i] = x, id
}

// shared counts the ids that both have. Places that a small vocabulary leaves empty
// count as shared.
func (t *top) shared(o *top) int {
	n := places - t.n
	for _, id := range t.id[:t.n] {
		for _, other := range o.id[:o.n] {
			if id == other {
				n++
			}
		}
	}
	return n
}
