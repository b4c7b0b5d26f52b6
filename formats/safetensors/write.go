package safetensors

import (
	"fmt"
	"io"
)

// Write writes a whole file in the order of [NewHeader]. It calls data once for each
// tensor, in the order of the file, with the tensor's index in tensors; data must
// write exactly the bytes of that tensor (none, for a tensor without elements).
//
// It serves tests and generators of small files: it neither syncs nor replaces a file
// atomically.
func Write(w io.Writer, tensors []Tensor, metadata map[string]string, data func(i int, w io.Writer) error) error {
	order := canonicalOrder(tensors)
	placed, err := place(tensors, order)
	if err != nil {
		return err
	}
	sizes := make([]int64, len(placed)) // before encode sorts them
	for k := range placed {
		sizes[k] = placed[k].Bytes()
	}
	_, head, err := encode(placed, metadata)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("writing the header: %w", err)
	}
	for k, i := range order {
		name := tensors[i].Name
		q := &quota{w: w, left: sizes[k]}
		if err := data(i, q); err != nil {
			return fmt.Errorf("%s: %w", at(name), err)
		}
		if q.left != 0 || q.over {
			return fmt.Errorf("%s: data function wrote another size than %d bytes", at(name), sizes[k])
		}
	}
	return nil
}

// quota lets exactly so many bytes through.
type quota struct {
	w    io.Writer
	left int64
	over bool
}

func (q *quota) Write(b []byte) (int, error) {
	if int64(len(b)) > q.left {
		q.over = true
		return 0, fmt.Errorf("writing %d bytes where %d are left of the tensor", len(b), q.left)
	}
	n, err := q.w.Write(b)
	q.left -= int64(n)
	return n, err
}
