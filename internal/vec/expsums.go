package vec

import "math"

// ExpSums returns, in float64 and over all i, ea = Σe^(a[i]−shiftA),
// eb = Σe^(b[i]−shiftB) and d = Σe^(a[i]−shiftA)·(a[i]−b[i]): what the KL divergence
// of two distributions over a vocabulary is made of. With
// logits a and b it is d/ea − (shiftA+ln ea) + (shiftB+ln eb), for any shifts that
// keep the sums in range, such as the maxima.
//
// Every e^x is within 1 ulp, 0 where it is below 2^−1021.5 and +Inf from 2^1024 on.
// A term of d whose e^(a[i]−shiftA) is 0 is 0, whatever b[i] is (0·ln 0 = 0). If a
// and b have the same contents, d is exactly 0, and with equal shifts ea == eb.
func ExpSums(a, b []float32, shiftA, shiftB float64) (ea, eb, d float64) {
	equal(len(a), len(b))
	return current.Load().expSums(a, b, shiftA, shiftB)
}

// ExpSum returns Σe^(a[i]−shift), the ea of ExpSums.
func ExpSum(a []float32, shift float64) float64 { return current.Load().expSum(a, shift) }

// The constants of exp.go in float64. ln2hi has 41 significant bits, so that
// n·ln2hi is exact; the polynomial r²·q has degree 11 and a relative error of
// 2^−56.3 with rounded coefficients.
const (
	exp64Lo    = -708.5 // n = −1022
	exp64Hi    = 710    // n = 1024, overflows
	exp64Log2e = float64(math.Log2E)
	exp64Magic = 0x1.8p52 + 1022
	exp64Ln2hi = 0x1.62e42fefa3p-1
	exp64Ln2lo = 0x1.3de6af278ece6p-42
	exp64C11   = 0x1.ad7f3c411bf5bp-26
	exp64C10   = 0x1.28ad9b8b7c16bp-22
	exp64C9    = 0x1.71df25b4a6a5cp-19
	exp64C8    = 0x1.a01999e25ce43p-16
	exp64C7    = 0x1.a01a012a0e882p-13
	exp64C6    = 0x1.6c16c18438b2ap-10
	exp64C5    = 0x1.1111111127d1p-7
	exp64C4    = 0x1.555555555083ep-5
	exp64C3    = 0x1.55555555554f9p-3
	exp64C2    = 0x1.000000000000ap-1
)

// exp64 is exp1 in float64.
func exp64(x float64) float64 {
	if exp64Lo > x {
		x = exp64Lo
	}
	if exp64Hi < x {
		x = exp64Hi
	}
	t := float64(x*exp64Log2e) + exp64Magic
	n := t - exp64Magic
	h := x - float64(n*exp64Ln2hi)
	l := float64(n * exp64Ln2lo)
	r := h - l
	q := float64(r*exp64C11) + exp64C10
	q = float64(q*r) + exp64C9
	q = float64(q*r) + exp64C8
	q = float64(q*r) + exp64C7
	q = float64(q*r) + exp64C6
	q = float64(q*r) + exp64C5
	q = float64(q*r) + exp64C4
	q = float64(q*r) + exp64C3
	q = float64(q*r) + exp64C2
	p := 1 + (h + (float64(q*float64(r*r)) - l))
	return float64((p + p) * math.Float64frombits(math.Float64bits(t)<<52))
}

// lanes64 are the partial sums of a float64 sum.
type lanes64 [8]float64

// join adds the lanes in pairs.
func (l *lanes64) join() float64 {
	for n := 4; n > 0; n /= 2 {
		for i := range n {
			l[i] += l[i+n]
		}
	}
	return l[0]
}

func expSumsGeneric(a, b []float32, shiftA, shiftB float64) (ea, eb, d float64) {
	var la, lb, ld lanes64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		e := exp64(x - shiftA)
		la[i%8] += e
		lb[i%8] += exp64(y - shiftB)
		if e != 0 {
			ld[i%8] += float64(e * (x - y))
		}
	}
	return la.join(), lb.join(), ld.join()
}

func expSumGeneric(a []float32, shift float64) float64 {
	var l lanes64
	for i, v := range a {
		l[i%8] += exp64(float64(v) - shift)
	}
	return l.join()
}
