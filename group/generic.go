package group

import (
	"encoding/binary"
	"math"

	"quern/fp8"
)

// genericPath is the scalar reference: every other path equals it bit for bit.
var genericPath = path{
	name:        "generic",
	amax:        amaxGeneric,
	nvfp4Scales: nvfp4ScalesGeneric,
	e8m0Scales:  e8m0ScalesGeneric,
	int4Scales:  int4ScalesGeneric,
	encodeE2M1:  encodeE2M1Generic,
	encodeE4M3:  encodeE4M3Generic,
	encodeINT4:  encodeINT4Generic,
	costE2M1:    costE2M1Generic,
	costINT4:    costINT4Generic,
	decodeE2M1:  decodeE2M1Generic,
	decodeE4M3:  decodeE4M3Generic,
	decodeINT4:  decodeINT4Generic,
	turn2:       turn2Generic,
	turn4:       turn4Generic,
}

func amaxGeneric(amax, w []float32) (top, zeros uint32) {
	for i := range amax {
		n := len(w) / len(amax)
		// Magnitudes are ordered as their bits are, NaN above infinity above all others.
		var a uint32
		for _, x := range w[i*n:][:n] {
			a = max(a, math.Float32bits(x)&^signBit)
		}
		amax[i] = math.Float32frombits(a)
		top = max(top, a)
		if a == 0 {
			zeros++
		}
	}
	return top, zeros
}

// add adds a weight and its value to the sums. Squares of float32 numbers are exact
// in float64, so that fusing the two operations would change nothing.
func (r *Row) add(i int, w, value float32) {
	d := w - value
	r.sq[i%8] += float64(w) * float64(w)
	r.er[i%8] += float64(d) * float64(d)
	r.maxErr = max(r.maxErr, abs(d))
}

func encodeE2M1Generic(codes []byte, w, mult []float32, signedZero bool, r *Row) {
	for i, x := range w {
		if x == 0 && !signedZero {
			x = 0 // not −0
		}
		s := mult[i/unit]
		y := x / s
		code := fp8.E2M1FromFloat32(y)
		if i%2 == 0 {
			codes[i/2] = code
		} else {
			codes[i/2] |= code << 4
		}
		r.add(i, x, float32(fp8.E2M1ToFloat32(code)*s))
		if abs(y) >= e2m1Saturates {
			r.saturated++
		}
		switch code & 7 {
		case 0:
			if x != 0 {
				r.zero++
			}
		case 1:
			r.subnormal++
		}
	}
}

func encodeE4M3Generic(codes []byte, w, mult []float32, r *Row) {
	for i, x := range w {
		s := mult[i/unit]
		y := x / s
		code := fp8.E4M3FromFloat32(y)
		codes[i] = code
		r.add(i, x, float32(fp8.E4M3ToFloat32(code)*s))
		if abs(y) > e4m3Saturates {
			r.saturated++
		}
		switch m := code & 0x7f; {
		case m == 0 && x != 0:
			r.zero++
		case m != 0 && m <= 7:
			r.subnormal++
		}
	}
}

func encodeINT4Generic(codes []byte, w, mult []float32, r *Row) {
	for i, x := range w {
		s := mult[i/unit]
		y := x / s
		q := roundINT4(y)
		code := uint8(q + 8)
		if i%2 == 0 {
			codes[i/2] = code
		} else {
			codes[i/2] |= code << 4
		}
		r.add(i, x, float32(float32(q)*s))
		if y >= int4Most || y < int4Least {
			r.saturated++
		}
		if q == 0 && x != 0 {
			r.zero++
		}
	}
}

// roundINT4 rounds y to nearest even and clamps it to −8…7.
func roundINT4(y float32) int {
	return int(math.RoundToEven(float64(min(max(y, -8), 7))))
}

func costE2M1Generic(cost []float64, mult, w []float32, u []float64) {
	for k, s := range mult {
		var l lanes
		for i, x := range w {
			d := x - float32(fp8.E2M1ToFloat32(fp8.E2M1FromFloat32(x/s))*s)
			l[i%8] += float64(float64(d) * float64(d) * u[i])
		}
		cost[k] = l.join()
	}
}

func costINT4Generic(cost []float64, mult, w []float32, u []float64) {
	for k, s := range mult {
		var l lanes
		for i, x := range w {
			d := x - float32(float32(roundINT4(x/s))*s)
			l[i%8] += float64(float64(d) * float64(d) * u[i])
		}
		cost[k] = l.join()
	}
}

func decodeE2M1Generic(dst []byte, elem fp8.Elem, codes []byte, mult []float32) {
	for i := range 2 * len(codes) {
		put(dst, elem, i, product(fp8.E2M1ToFloat32(codes[i/2]>>(i%2*4)), mult[i/unit]))
	}
}

func decodeE4M3Generic(dst []byte, elem fp8.Elem, codes []byte, mult []float32) {
	for i, c := range codes {
		x := fp8.E4M3ToFloat32(c)
		if x == x {
			x = product(x, mult[i/unit])
		}
		put(dst, elem, i, x)
	}
}

func decodeINT4Generic(dst []byte, elem fp8.Elem, codes []byte, mult []float32) {
	for i := range 2 * len(codes) {
		put(dst, elem, i, product(float32(int(codes[i/2]>>(i%2*4)&15)-8), mult[i/unit]))
	}
}

// product returns x·s. NaN has no sign, about which machines disagree.
func product(x, s float32) float32 {
	if p := x * s; p == p {
		return p
	}
	return math.Float32frombits(quietNaN)
}

// put writes x as element i.
func put(dst []byte, elem fp8.Elem, i int, x float32) {
	if elem == fp8.ElemBF16 {
		binary.LittleEndian.PutUint16(dst[2*i:], fp8.BF16FromFloat32(x))
	} else {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x))
	}
}
