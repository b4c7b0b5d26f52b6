package outputs

import (
	"fmt"

	"quern/formats/safetensors"
)

// Spec says what a file is to hold.
type Spec struct {
	IDs      [][]int // by sequence; at least one sequence, none of them empty
	Vocab    int     // logits of a row
	MTP      bool    // mtp_logits
	Hidden   []HiddenSpec
	Routers  []RouterSpec
	Metadata map[string]string
}

// HiddenSpec is a tensor hidden.{Layer} with rows of Width.
type HiddenSpec struct{ Layer, Width int }

// RouterSpec is a tensor router.{Layer}.indices with rows of K experts. An MTP layer
// has no row for the last token of a sequence.
type RouterSpec struct {
	Layer, K int
	MTP      bool
}

// field is a tensor that rows are written to.
type field struct {
	tensor
	written []int32 // elements of each row, under atomic access
}

// check refuses what no file can hold.
func (s *Spec) check() error {
	if len(s.IDs) == 0 || s.Vocab <= 0 {
		return fmt.Errorf("%d sequences, %d logits a row", len(s.IDs), s.Vocab)
	}
	for q, ids := range s.IDs {
		if len(ids) == 0 {
			return fmt.Errorf("sequence %d is empty", q)
		}
		for i, id := range ids {
			if id < 0 || id >= s.Vocab {
				return fmt.Errorf("sequence %d, position %d: id %d is not one of 0…%d", q, i, id, s.Vocab-1)
			}
		}
	}
	for _, h := range s.Hidden {
		if h.Layer < 0 || h.Width <= 0 {
			return fmt.Errorf("hidden states %+v", h)
		}
	}
	for _, r := range s.Routers {
		if r.Layer < 0 || r.K <= 0 {
			return fmt.Errorf("router %+v", r)
		}
	}
	return nil
}

// tensors returns the fields by name and what the header says of all tensors.
func (s *Spec) tensors() (map[string]*field, []safetensors.Tensor) {
	tokens, equal := 0, true
	for _, ids := range s.IDs {
		tokens += len(ids)
		equal = equal && len(ids) == len(s.IDs[0])
	}
	n := len(s.IDs)
	// shape is that of rows for all tokens but drop of each sequence.
	shape := func(drop int, width ...int64) []int64 {
		lead := []int64{int64(tokens - drop*n)}
		if equal && n > 1 {
			lead = []int64{int64(n), int64(len(s.IDs[0]) - drop)}
		}
		return append(lead, width...)
	}
	list := []safetensors.Tensor{{Name: "input_ids", DType: safetensors.I64, Shape: shape(0)}}
	if !equal {
		list = append(list, safetensors.Tensor{Name: "offsets", DType: safetensors.I64, Shape: []int64{int64(n + 1)}})
	}
	fields := map[string]*field{}
	add := func(name string, d safetensors.DType, width int, short bool) {
		drop := 0
		if short {
			drop = 1
		}
		list = append(list, safetensors.Tensor{Name: name, DType: d, Shape: shape(drop, int64(width))})
		fields[name] = &field{
			tensor:  tensor{name: name, dtype: d, width: width, short: short},
			written: make([]int32, tokens-drop*n),
		}
	}
	add("logits", safetensors.F32, s.Vocab, false)
	if s.MTP {
		add("mtp_logits", safetensors.F32, s.Vocab, true)
	}
	for _, h := range s.Hidden {
		add(hiddenName(h.Layer), safetensors.F32, h.Width, false)
	}
	for _, r := range s.Routers {
		add(routerName(r.Layer), safetensors.I32, r.K, r.MTP)
	}
	return fields, list
}

func hiddenName(i int) string { return fmt.Sprintf("hidden.%d", i) }

func routerName(l int) string { return fmt.Sprintf("router.%d.indices", l) }
