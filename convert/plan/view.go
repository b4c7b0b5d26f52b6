package plan

import (
	"fmt"
	"iter"

	"quern/formats/safetensors"
)

// View is a part of an input tensor: all of it, or some of the matrices of a stacked
// one. It is contiguous unless Order or Stride says otherwise.
type View struct {
	Name   string            `json:"name"` // the input tensor
	File   int               `json:"file"` // index into Input.Files
	DType  safetensors.DType `json:"dtype"`
	Shape  []int64           `json:"shape"`
	Offset int64             `json:"offset"` // bytes from the start of the data section
	// Order, if set, is the order in which the slabs along dimension 0 are read:
	// what index i reads is slab Order[i].
	Order []int `json:"order,omitempty"`
	// Stride, if set, makes the view [out, in] of a matrix that is stored [in, out]: how
	// many elements lie from one column to the next, which may be more than out.
	Stride int64 `json:"stride,omitempty"`
}

// Bytes is the size of the view.
func (v *View) Bytes() int64 {
	n, err := safetensors.SizeOf(v.DType, v.Shape)
	if err != nil {
		panic(fmt.Sprintf("plan: view of %q: %v", v.Name, err))
	}
	return n
}

// Place is where byte at of the view lies, from the start of the data section.
func (v *View) Place(at int64) int64 {
	for offset := range v.Runs(at, 1) {
		return offset
	}
	return v.Offset
}

// Runs yields where n bytes of the view lie, from byte at on: offsets from the
// start of the data section, and how many bytes are in one piece there.
func (v *View) Runs(at, n int64) iter.Seq2[int64, int64] {
	return func(yield func(offset, n int64) bool) {
		if v.Order == nil || n <= 0 {
			yield(v.Offset+at, n)
			return
		}
		slab := v.Bytes() / int64(len(v.Order))
		begin, length := int64(0), int64(0)
		for end := at + n; at < end; {
			i := at / slab
			next := min((i+1)*slab, end)
			offset := v.Offset + int64(v.Order[i])*slab + at%slab
			switch {
			case length > 0 && offset == begin+length:
				length += next - at
			case length > 0 && !yield(begin, length):
				return
			default:
				begin, length = offset, next-at
			}
			at = next
		}
		yield(begin, length)
	}
}
