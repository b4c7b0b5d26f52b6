package engine

import (
	"fmt"
	"slices"
	"sync"

	"quern/fp8"
)

// suspicious is beyond what weights of models reach. Scales that are reciprocals of
// what they should be, which some exporters have written, lead there at once.
const suspicious = 1e3

// large remembers the dequantized tensors with values beyond suspicious.
type large struct {
	mu     sync.Mutex
	values map[string]float32 // by tensor, the largest magnitude
}

// look notes the largest magnitude of a chunk of BF16 that was made with the scales
// given.
func (l *large) look(tensor string, scales []float32, out []byte) {
	if len(scales) == 0 || slices.Max(scales)*448 <= suspicious {
		return
	}
	var most uint16 // magnitudes of BF16 are ordered as their bits
	for i := 0; i+1 < len(out); i += 2 {
		most = max(most, (uint16(out[i])|uint16(out[i+1])<<8)&0x7fff)
	}
	v := fp8.BF16ToFloat32(most)
	if v <= suspicious {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.values == nil {
		l.values = map[string]float32{}
	}
	l.values[tensor] = max(l.values[tensor], v)
}

// remarks says so in a line, or not at all.
func (l *large) remarks() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	name, n := "", len(l.values)
	for t, v := range l.values {
		if name == "" || v > l.values[name] || v == l.values[name] && t < name {
			name = t
		}
	}
	if n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d tensors have values beyond %g, up to %g in %s: weights have not; are their scales reciprocals?", n, float64(suspicious), l.values[name], name)}
}
