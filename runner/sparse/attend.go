package sparse

import (
	"quern/gemm"
	"quern/internal/vec"
)

// Gather appends the chosen rows of a matrix with width columns.
func Gather(dst, rows []float32, width int, ids []int32) []float32 {
	for _, i := range ids {
		dst = append(dst, rows[int(i)*width:][:width]...)
	}
	return dst
}

// Attend is attention of one token's heads over the same keys and values, rows of size
// and valueSize numbers: out_h = Σ_s p_s·v_s with p the softmax of scale·q_h·k_s, which
// the logit sinks[h] joins if there are sinks. n may be 0 only with sinks. scratch has
// heads·n numbers.
func Attend(out, q, keys, values []float32, heads, size, valueSize int, scale float32, sinks, scratch []float32) {
	n := len(keys) / size
	one := gemm.Options{Workers: 1}
	if n > 0 {
		k := gemm.Floats(keys, n, size, size, false)
		gemm.Mul(scratch, n, q, size, heads, &k, one)
	}
	for h := range heads {
		p := scratch[h*n:][:n]
		vec.Scale(p, scale)
		if sinks != nil {
			vec.SoftmaxSink(p, sinks[h])
		} else {
			vec.Softmax(p)
		}
	}
	v := gemm.Floats(values, valueSize, n, valueSize, true)
	gemm.Mul(out, valueSize, scratch, n, heads, &v, one)
}
