// Package calibrate measures the activations of a model on texts: what linear modules
// are applied to, what attention keeps, which experts the router chooses. What comes
// out is a calibration file (package file), from which scales are chosen later, and if
// asked for a routing trace.
//
// # What is measured, and how
//
// Everything is observed while the built-in runner evaluates the texts layer by layer
// ([Run]); no activation is kept. Per input of linear modules: the largest magnitude,
// by channel the sum of squares in float64 (each square exact, rows added in the order
// of the texts), the number of tokens, and two sketches of the distribution (package
// sketch). Per layer and expert: tokens, gate weights, and if asked for which experts
// are chosen together. So maxima, counts and sketches of parts of the texts add up to
// those of the whole in any order, sums up to the rounding of float64 ([Merge]).
//
// Numbers depend on model, texts and options only: not on workers, memory,
// interruptions or the kernels of a processor.
//
// # Interruptions
//
// A layer's statistics go to FILE.state.partial when the layer is done; from time to
// time the hidden states that the next layer begins with go to FILE.hidden.partial, and
// a line in the former says so. A killed run goes on behind the last such line. There
// are two places for hidden states, used in turn, and all that is read back is checked
// by digest, so that a kill at any moment, also while states are written, costs time
// only. The file itself appears whole, at the end.
package calibrate
