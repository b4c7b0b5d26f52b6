// Package foreign recognises quantized forms that quern does not read, by the
// names and dtypes of their tensors: what a checkpoint's config says of itself is
// often missing, stale or somebody else's.
//
// Whoever is about to read weights asks [Recognise] (or [Refuse]) first, so that a
// checkpoint of another form is refused by its name and never taken for one
// without quantization. The forms are rows of a table (forms.go); a form that
// comes to be read loses its row.
package foreign
