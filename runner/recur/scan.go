package recur

import (
	"quern/gemm"
	"quern/internal/vec"
)

// token advances the state by one token: two passes over the state.
func (l *Layer) token(in span, state, scratch []float32) {
	q, k, u := scratch[:l.Keys], scratch[l.Keys:][:l.Keys], scratch[2*l.Keys:][:l.Values]
	l.normalized(q, in.q, l.scale())
	l.normalized(k, in.k, 1)
	v := l.Values
	clear(u)
	for i := range l.Keys {
		a := in.decay[0]
		if l.ByChannel {
			a = in.decay[i]
		}
		row := state[i*v:][:v]
		vec.Scale(row, a)
		if l.Delta {
			vec.Axpy(u, -k[i], row)
		}
	}
	vec.Add(u, in.v[:v])
	vec.Scale(u, in.rate[0])
	out := in.out[:v]
	clear(out)
	for i := range l.Keys {
		row := state[i*v:][:v]
		vec.Axpy(row, k[i], u)
		vec.Axpy(out, q[i], row)
	}
}

// tokens advances the state by c tokens at once, as doc.go derives it.
func (l *Layer) tokens(in span, state []float32, c int, scratch []float32) {
	take := func(n int) []float32 {
		s := scratch[:n]
		scratch = scratch[n:]
		return s
	}
	n, v, outs := l.Keys, l.Values, l.ValueHeads*l.Values
	q, k, u := take(c*n), take(c*n), take(c*v)
	left, w, product := take(n*c), take(n), take(n)
	kk, qk := take(c*c), take(c*c)
	for i := range c {
		l.normalized(q[i*n:][:n], in.q[i*l.Width:], l.scale())
		l.normalized(k[i*n:][:n], in.k[i*l.Width:], 1)
	}
	if l.ByChannel {
		l.pairsByChannel(in, c, q, k, w, left, kk, qk)
	} else {
		l.pairs(in, c, q, k, left, kk, qk)
	}
	// q and k become P_i q_i and −P_i k_i.
	for i := range n {
		product[i] = 1
	}
	for i := range c {
		l.decayed(product, in, i)
		vec.Mul(q[i*n:][:n], product)
		vec.Mul(k[i*n:][:n], product)
		vec.Scale(k[i*n:][:n], -1)
	}
	s := gemm.Floats(state, v, n, v, true)
	gemm.Mul(in.out, outs, q, n, c, &s, gemm.Options{Workers: 1})
	if l.Delta {
		gemm.Mul(u, v, k, n, c, &s, gemm.Options{Workers: 1})
	} else {
		clear(u)
	}
	for i := range c {
		ui := u[i*v:][:v]
		vec.Add(ui, in.v[i*l.Width:][:v])
		if l.Delta {
			for j := range i {
				vec.Axpy(ui, -kk[i*c+j], u[j*v:][:v])
			}
		}
		vec.Scale(ui, in.rate[i*l.ValueHeads])
	}
	us := gemm.Floats(u, v, c, v, true)
	add := gemm.Options{Workers: 1, Add: true}
	gemm.Mul(in.out, outs, qk, c, c, &us, add)
	for d := range n {
		vec.Scale(state[d*v:][:v], product[d])
	}
	gemm.Mul(state, v, left, c, n, &us, add)
}

// decayed multiplies x by the decays of token i.
func (l *Layer) decayed(x []float32, in span, i int) {
	d := l.decays()
	a := in.decay[i*l.ValueHeads*d:][:d]
	if l.ByChannel {
		vec.Mul(x, a)
	} else {
		vec.Scale(x, a[0])
	}
}

// pairs writes the decayed products of tokens i and j: k_i·k_j to kk (for j < i), q_i·k_j
// to qk (for j ≤ i, zero elsewhere), and to left, key by key, what of each k_j is left
// behind the chunk. Here a token has one decay.
func (l *Layer) pairs(in span, c int, q, k, left, kk, qk []float32) {
	n, one := l.Keys, gemm.Options{Workers: 1}
	keys := gemm.Floats(k, c, n, n, false)
	gemm.Mul(qk, c, q, n, c, &keys, one)
	if l.Delta {
		gemm.Mul(kk, c, k, n, c, &keys, one)
	}
	for j := range c {
		for i := range j {
			qk[i*c+j] = 0
		}
		p := float32(1)
		for i := j + 1; i < c; i++ {
			p *= in.decay[i*l.ValueHeads]
			qk[i*c+j] *= p
			if l.Delta {
				kk[i*c+j] *= p
			}
		}
		for d, x := range k[j*n:][:n] {
			left[d*c+j] = p * x
		}
	}
}

// pairsByChannel does so with decays by channel: w is k_j, decayed on and on.
func (l *Layer) pairsByChannel(in span, c int, q, k, w, left, kk, qk []float32) {
	n := l.Keys
	for j := range c {
		copy(w, k[j*n:][:n])
		qk[j*c+j] = vec.Dot(q[j*n:][:n], w)
		for i := range j {
			qk[i*c+j] = 0
		}
		for i := j + 1; i < c; i++ {
			l.decayed(w, in, i)
			kk[i*c+j] = vec.Dot(k[i*n:][:n], w)
			qk[i*c+j] = vec.Dot(q[i*n:][:n], w)
		}
		for d, x := range w {
			left[d*c+j] = x
		}
	}
}
