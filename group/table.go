package group

import (
	"encoding/binary"
	"math"

	"quern/fp8"
)

// tablePath is the fastest portable path: the reference without branches that depend
// on the weights, a unit at a time.
var tablePath = path{
	name:        "table",
	amax:        amaxGeneric,
	nvfp4Scales: nvfp4ScalesGeneric,
	e8m0Scales:  e8m0ScalesGeneric,
	int4Scales:  int4ScalesGeneric,
	encodeE2M1:  encodeE2M1Table,
	encodeE4M3:  encodeE4M3Generic,
	encodeINT4:  encodeINT4Table,
	costE2M1:    costE2M1Table,
	costINT4:    costINT4Table,
	decodeE2M1:  decodeE2M1Table,
	decodeE4M3:  decodeE4M3Generic,
	decodeINT4:  decodeINT4Table,
	turn2:       turn2Generic,
	turn4:       turn4Generic,
}

// roundE2M1 rounds y ≥ 0 to E2M1, the value and the code, without branches.
// fp8/avx512_amd64.go says why this is right.
func roundE2M1(y float32) (q float32, code uint32) {
	const (
		most  = 0x40c00000 // bits of 6
		least = 0x3f800000 // bits of 1, the least normal number
	)
	b := min(math.Float32bits(y), most)
	e := max(b&infinite, least)
	m := math.Float32frombits(e + 22<<23)
	t := math.Float32frombits(b) + m
	return t - m, math.Float32bits(t) - math.Float32bits(m) + (e-least)>>22
}

// roundInt rounds −8 ≤ y ≤ 7 to nearest even, as a number and plus 8. Float32 has the
// spacing 1 from 2²³ on.
func roundInt(y float32) (q float32, code uint32) {
	const at = 0x1.8p23
	t := min(max(y, -8), 7) + at
	q = t - at
	return q, math.Float32bits(t) - (math.Float32bits(at) - 8)
}

// zero is 1 where n, below 2³¹, is 0; the compiler would make a branch of a comparison.
func zero(n uint32) uint32 { return (n - 1) >> 31 }

// tally is what a unit adds to the counts of a row, in registers.
type tally struct{ saturated, subnormal, zero, maxErr uint32 }

func (t *tally) addTo(r *Row) {
	r.saturated += t.saturated
	r.subnormal += t.subnormal
	r.zero += t.zero
	r.maxErr = max(r.maxErr, math.Float32frombits(t.maxErr))
}

// encodeE2M1Table takes a lane at a time, so that its sums stay in registers.
func encodeE2M1Table(codes []byte, w, mult []float32, signedZero bool, r *Row) {
	const beyond = 0x40e00000 - 1 // below the bits of e2m1Saturates
	minusZero := uint32(0)        // the sign bit of a code for −0
	if signedZero {
		minusZero = 8
	}
	var t tally
	for k, s := range mult[:len(w)/unit] {
		in, out := (*[unit]float32)(w[k*unit:]), (*[unit / 2]byte)(codes[k*unit/2:])
		var nibbles [unit]uint8
		for j := range 8 {
			sq, er := r.sq[j], r.er[j]
			for i := j; i < unit; i += 8 {
				b := math.Float32bits(in[i])
				a := math.Float32frombits(b &^ signBit)
				y := a / s
				q, code := roundE2M1(y)
				d := a - float32(q*s)
				sq += float64(a) * float64(a)
				er += float64(d) * float64(d)
				t.maxErr = max(t.maxErr, math.Float32bits(abs(d)))
				none := zero(b &^ signBit)
				t.saturated += (beyond - math.Float32bits(y)) >> 31
				t.zero += zero(code) - none
				t.subnormal += zero(code ^ 1)
				nibbles[i] = uint8(code | b>>28&(8-none<<3|minusZero))
			}
			r.sq[j], r.er[j] = sq, er
		}
		for i := range out {
			out[i] = nibbles[2*i] | nibbles[2*i+1]<<4
		}
	}
	t.addTo(r)
}

// encodeINT4Table is encodeE2M1Table for integers.
func encodeINT4Table(codes []byte, w, mult []float32, r *Row) {
	var t tally
	for k, s := range mult[:len(w)/unit] {
		in, out := (*[unit]float32)(w[k*unit:]), (*[unit / 2]byte)(codes[k*unit/2:])
		var nibbles [unit]uint8
		for j := range 8 {
			sq, er := r.sq[j], r.er[j]
			for i := j; i < unit; i += 8 {
				x := in[i]
				y := x / s
				q, code := roundInt(y)
				d := x - float32(q*s)
				sq += float64(x) * float64(x)
				er += float64(d) * float64(d)
				t.maxErr = max(t.maxErr, math.Float32bits(abs(d)))
				if y >= int4Most || y < int4Least {
					t.saturated++
				}
				t.zero += zero(code^8) - zero(math.Float32bits(x)&^signBit)
				nibbles[i] = uint8(code)
			}
			r.sq[j], r.er[j] = sq, er
		}
		for i := range out {
			out[i] = nibbles[2*i] | nibbles[2*i+1]<<4
		}
	}
	t.addTo(r)
}

func costE2M1Table(cost []float64, mult, w []float32, u []float64) {
	for k, s := range mult {
		var l lanes
		for i, x := range w {
			a := abs(x)
			q, _ := roundE2M1(a / s)
			d := a - float32(q*s)
			l[i%8] += float64(float64(d) * float64(d) * u[i])
		}
		cost[k] = l.join()
	}
}

func costINT4Table(cost []float64, mult, w []float32, u []float64) {
	for k, s := range mult {
		var l lanes
		for i, x := range w {
			q, _ := roundInt(x / s)
			d := x - float32(q*s)
			l[i%8] += float64(float64(d) * float64(d) * u[i])
		}
		cost[k] = l.join()
	}
}

var (
	e2m1Table = valuesOf(fp8.E2M1ToFloat32)
	int4Table = valuesOf(func(c uint8) float32 { return float32(int(c) - 8) })
)

func valuesOf(f func(c uint8) float32) (t [16]float32) {
	for c := range t {
		t[c] = f(uint8(c))
	}
	return t
}

func decodeE2M1Table(dst []byte, elem fp8.Elem, codes []byte, mult []float32) {
	decodeNibbles(dst, elem, codes, mult, &e2m1Table)
}

func decodeINT4Table(dst []byte, elem fp8.Elem, codes []byte, mult []float32) {
	decodeNibbles(dst, elem, codes, mult, &int4Table)
}

// decodeNibbles multiplies the 16 values once a unit; its multipliers are finite.
func decodeNibbles(dst []byte, elem fp8.Elem, codes []byte, mult []float32, table *[16]float32) {
	for k, s := range mult {
		in := (*[unit / 2]byte)(codes[k*unit/2:])
		if elem == fp8.ElemF32 {
			out := (*[4 * unit]byte)(dst[k*4*unit:])
			for i, b := range in {
				binary.LittleEndian.PutUint32(out[8*i:], math.Float32bits(table[b&15]*s))
				binary.LittleEndian.PutUint32(out[8*i+4:], math.Float32bits(table[b>>4]*s))
			}
			continue
		}
		out := (*[2 * unit]byte)(dst[k*2*unit:])
		var words [16]uint16
		for c, v := range table {
			words[c] = fp8.BF16FromFloat32(v * s)
		}
		for i, b := range in {
			binary.LittleEndian.PutUint16(out[4*i:], words[b&15])
			binary.LittleEndian.PutUint16(out[4*i+2:], words[b>>4])
		}
	}
}
