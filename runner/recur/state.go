package recur

import "slices"

// State is what a layer carries from token to token.
type State struct {
	Conv []float32 // the last rows before the convolution
	S    []float32 // the matrices of the heads
}

// NewState is the state before the first token.
func NewState(c *Conv, l *Layer) *State {
	return &State{Conv: make([]float32, c.StateSize()), S: make([]float32, l.StateSize())}
}

// Clone is a copy: a state cannot be taken back by tokens, so whoever drafts keeps
// the state before the draft and runs what was accepted again.
func (s *State) Clone() *State {
	return &State{Conv: slices.Clone(s.Conv), S: slices.Clone(s.S)}
}

// Set makes s equal to a state of the same layer.
func (s *State) Set(from *State) {
	copy(s.Conv, from.Conv)
	copy(s.S, from.S)
}
