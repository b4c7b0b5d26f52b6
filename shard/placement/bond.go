package placement

import "math"

// bonds say how much any two items have to do with each other, as integers: sums of
// them are exact, and equal on every machine.
type bonds struct {
	items  int
	weight []int32 // [item][item], symmetric, zeros on the diagonal
	scale  float64 // a weight of so much is 1
}

// newBonds rounds weights to integers, scaled so that no sum of them, each pair
// counted once, overflows an int32. weight gives that of two different items; nil if
// all are zero.
func newBonds(items int, weight func(i, j int) float64) *bonds {
	var total float64
	for i := range items {
		for j := range i {
			total += weight(i, j)
		}
	}
	if total <= 0 {
		return nil
	}
	_, exponent := math.Frexp(total)
	b := &bonds{items: items, weight: make([]int32, items*items), scale: math.Ldexp(1, 29-exponent)}
	for i := range items {
		for j := range i {
			w := int32(math.RoundToEven(weight(i, j) * b.scale))
			b.weight[i*items+j], b.weight[j*items+i] = w, w
		}
	}
	return b
}

// total is the sum over pairs.
func (b *bonds) total() int64 {
	var t int64
	for _, w := range b.weight {
		t += int64(w)
	}
	return t / 2
}

// ties are the bonds of items with the items of each bin.
type ties struct {
	*bonds
	to []int32 // [bin][item]
}

func newTies(b *bonds, bins int, bin func(item int) int) *ties {
	t := &ties{b, make([]int32, bins*b.items)}
	for i := range b.items {
		row := t.row(bin(i))
		for x, w := range b.weight[i*b.items : (i+1)*b.items] {
			row[x] += w
		}
	}
	return t
}

func (t *ties) row(bin int) []int32 { return t.to[bin*t.items : (bin+1)*t.items] }

// within is the sum over pairs that share a bin.
func (t *ties) within(bin func(item int) int) int64 {
	var sum int64
	for i := range t.items {
		sum += int64(t.row(bin(i))[i])
	}
	return sum / 2
}

// gain is how much that sum grows when item i of bin r and item j of another bin s
// change places.
func (t *ties) gain(i, j, r, s int) int64 {
	from, to := t.row(r), t.row(s)
	return int64(to[i]) - int64(from[i]) + int64(from[j]) - int64(to[j]) - 2*int64(t.weight[i*t.items+j])
}

// exchange follows that change.
func (t *ties) exchange(i, j, r, s int) {
	n := t.items
	out, in := t.weight[i*n:(i+1)*n], t.weight[j*n:(j+1)*n]
	from, to := t.row(r)[:n], t.row(s)[:n]
	for x := range out {
		d := in[x] - out[x]
		from[x] += d
		to[x] -= d
	}
}
