package recur

import (
	"math"

	"quern/internal/vec"
)

// softplus is ln(1+e^x), and x itself beyond 20, as in PyTorch.
func softplus(x float32) float32 {
	if x > 20 {
		return x
	}
	return float32(math.Log1p(math.Exp(float64(x))))
}

func exp(x float32) float32 { return float32(math.Exp(float64(x))) }

// Decay turns the projected gates of a layer into decays. A row of gates has one
// number a head (gated delta rule), or one a channel (Kimi delta attention): a
// multiple of the number of heads.
type Decay struct {
	ALog []float32 // one a head
	Bias []float32 // dt_bias: as long as a row
	// Lower is the bound of the logarithm of a bounded gate (−5 in GLM-5.3 and Ling
	// 3); zero: the gate is not bounded.
	Lower float32
}

// Apply replaces each row of gates by its decays, in (0, 1].
func (d *Decay) Apply(gates []float32) {
	per := len(d.Bias) / len(d.ALog)
	for len(gates) > 0 {
		row := gates[:len(d.Bias)]
		vec.Add(row, d.Bias)
		for h, a := range d.ALog {
			x, rate := row[h*per:][:per], exp(a)
			if d.Lower != 0 {
				vec.Scale(x, rate)
				vec.Sigmoid(x, x)
				vec.Scale(x, d.Lower)
			} else {
				for i, v := range x {
					x[i] = -rate * softplus(v)
				}
			}
			vec.Exp(x, x)
		}
		gates = gates[len(row):]
	}
}

// Steps turns the projected time steps of Mamba-2, one a head and row, into its
// rates dt = clamp(softplus(dt+dt_bias), low, high), in place, and writes its decays
// e^(−e^A_log·dt).
func Steps(decay, dt, aLog, bias []float32, low, high float32) {
	for at := 0; at < len(dt); at += len(bias) {
		for h, b := range bias {
			s := min(max(softplus(dt[at+h]+b), low), high)
			dt[at+h], decay[at+h] = s, exp(-exp(aLog[h])*s)
		}
	}
}
