package foreign

import (
	"strings"

	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// Recognise returns the name of the first foreign form in c, for people, and one
// tensor that shows it. Both are "" when every tensor is of a form that is read
// or holds no quantized weight.
func Recognise(c *hf.Checkpoint) (form, tensor string) {
	return RecogniseBut(c, func(string) bool { return false })
}

// RecogniseBut is Recognise for who reads some of the tensors.
func RecogniseBut(c *hf.Checkpoint, read func(name string) bool) (form, tensor string) {
	for r := range c.All() {
		if read(r.Tensor.Name) {
			continue
		}
		if ordinary[r.Tensor.DType] && !strings.HasSuffix(r.Tensor.Name, "data") {
			continue
		}
		if name := match(c, r.Tensor); name != "" {
			return name, r.Tensor.Name
		}
	}
	return "", ""
}

// ordinary are dtypes in which only torchao hides a quantized form: its parts are
// told by their names alone, and end in "data".
var ordinary = map[safetensors.DType]bool{
	safetensors.BF16: true, safetensors.F16: true, safetensors.F32: true, safetensors.F64: true,
	safetensors.F8E4M3: true, safetensors.F8E8M0: true,
}

// match returns the name of the form that t shows, or "".
func match(c *hf.Checkpoint, t *safetensors.Tensor) string {
	for i := range forms {
		f := &forms[i]
		if !has(f.dtypes, t.DType) {
			continue
		}
		base, ok := strings.CutSuffix(t.Name, f.tensor)
		if !ok {
			continue
		}
		if f.beside == "" {
			return f.name
		}
		other, ok := c.Lookup(base + f.beside)
		if ok && has(f.types, other.Tensor.DType) && (f.fits == nil || f.fits(t.Shape, other.Tensor.Shape)) {
			return f.name
		}
	}
	return ""
}

// Refuse is the error that names the foreign form of c; nil when there is none. It
// matches invalid.Input.
func Refuse(c *hf.Checkpoint) error {
	return RefuseBut(c, func(string) bool { return false })
}

// RefuseBut is Refuse for who reads some of the tensors all the same.
func RefuseBut(c *hf.Checkpoint, read func(name string) bool) error {
	form, tensor := RecogniseBut(c, read)
	if form == "" {
		return nil
	}
	r, _ := c.Lookup(tensor)
	return invalid.Errorf("tensor %q of dtype %s: quantized as %s, which is not read; start from the BF16 or FP8 checkpoint that it was made from", tensor, r.Tensor.DType, form)
}
