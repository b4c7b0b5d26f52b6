// Package foreign recognises quantized forms, by the names and dtypes of their
// tensors: what a checkpoint's config says of itself is often missing, stale or
// somebody else's. It knows names and reads nothing.
//
// Whoever is about to read weights says which tensors it reads ([RefuseBut]), so that
// a checkpoint of another form, or one whose parts do not fit together, is refused by
// its name and never taken for one without quantization. The forms are rows of a table
// (forms.go). Those that are read (scheme.Forms) keep theirs for checkpoints that only
// look like them.
package foreign
