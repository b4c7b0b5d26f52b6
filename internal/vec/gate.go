package vec

// SiLUMul writes gate·sigmoid(gate)·up, computed as gate/(1+e^−gate)·up.
func SiLUMul(dst, gate, up []float32) {
	equal(len(dst), len(gate))
	equal(len(dst), len(up))
	current.Load().siluMul(dst, gate, up)
}

// ClampedSwiGLU is the activation of gpt_oss on len(dst) pairs of gate (even
// indices) and up (odd indices): with gate at most limit and up clamped to ±limit,
// dst = (up+1)·gate·sigmoid(alpha·gate), computed as (up+1)·(gate/(1+e^(−alpha·gate))).
// dst may be the front half of gateUp.
func ClampedSwiGLU(dst, gateUp []float32, alpha, limit float32) {
	equal(2*len(dst), len(gateUp))
	current.Load().clampedSwiGLU(dst, gateUp, alpha, limit)
}

func siluMulGeneric(dst, gate, up []float32) {
	for i, g := range gate {
		dst[i] = g / (1 + exp1(-g)) * up[i]
	}
}

func clampedSwiGLUGeneric(dst, gateUp []float32, alpha, limit float32) {
	for i := range dst {
		g, u := gateUp[2*i], gateUp[2*i+1]
		if limit < g {
			g = limit
		}
		if limit < u {
			u = limit
		}
		if -limit > u {
			u = -limit
		}
		dst[i] = (u + 1) * (g / (1 + exp1(float32(-alpha*g))))
	}
}
