package safetensors

import (
	"hash/maphash"

	"quern/internal/invalid"
)

// unique checks that no two tensors have the same name. A table of indices costs
// 8 bytes a tensor where a map of names costs some 40.
func unique(ts []Tensor) error {
	if len(ts) < 2 {
		return nil
	}
	slots := 1
	for slots < 2*len(ts) {
		slots *= 2
	}
	var (
		seed  = maphash.MakeSeed() // names chosen to collide do not
		table = make([]uint32, slots)
		mask  = uint64(slots - 1)
	)
	for i := range ts {
		for k := maphash.String(seed, ts[i].Name) & mask; ; k = (k + 1) & mask {
			other := table[k]
			if other == 0 {
				table[k] = uint32(i + 1)
				break
			}
			if ts[other-1].Name == ts[i].Name {
				return invalid.Errorf("%s: the name occurs twice", at(ts[i].Name))
			}
		}
	}
	return nil
}

// tile checks that tensors in file order cover a data section of the size given,
// each byte once.
func tile(ts []Tensor, data int64) error {
	end := int64(0)
	for i, t := range ts {
		switch {
		case t.Begin > end:
			return invalid.Errorf("%s: data_offsets [%d, %d]: a hole, bytes %d to %d belong to no tensor",
				at(t.Name), t.Begin, t.End, end, t.Begin)
		case t.Begin < end:
			// end > 0, so there is a tensor before this one.
			o := ts[i-1]
			return invalid.Errorf("%s: data_offsets [%d, %d]: overlaps %s at [%d, %d]",
				at(t.Name), t.Begin, t.End, at(o.Name), o.Begin, o.End)
		}
		end = t.End
	}
	if end < data {
		return invalid.Errorf("%d bytes after the last tensor, which ends at byte %d of the data", data-end, end)
	}
	return nil
}
