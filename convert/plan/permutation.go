package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"quern/formats/hf"
	"quern/internal/invalid"
	"quern/store"
)

// maxPlacement bounds the size of a placement file: DeepSeek-V3's on 320 slots has
// half a megabyte.
const maxPlacement = 64 << 20

// Permutation reads from a checkpoint's quern-placement.json how its experts were
// renumbered: by layer, the number that each of its experts had in the checkpoint
// that it was made from. It is nil where they were not. An error that blames the
// file matches invalid.Input.
func Permutation(c *hf.Checkpoint) (map[int][]int, error) {
	if c.Dir == "" {
		return nil, nil
	}
	raw, err := store.ReadFile(context.Background(), c.Folder, hf.PlacementName, maxPlacement)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	order, err := parsePermutation(raw)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", store.Path(c.Folder, hf.PlacementName), err)
	}
	return order, nil
}

func parsePermutation(raw []byte) (map[int][]int, error) {
	var f struct {
		Baked   bool    `json:"baked"`
		Layers  []int   `json:"layers"`
		Experts int     `json:"experts"`
		Phy2Log [][]int `json:"phy2log"`
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, invalid.Errorf("%w", err)
	}
	if !f.Baked {
		return nil, nil
	}
	if len(f.Layers) != len(f.Phy2Log) {
		return nil, invalid.Errorf("%d layers, but phy2log has %d rows", len(f.Layers), len(f.Phy2Log))
	}
	order := make(map[int][]int, len(f.Layers))
	for i, l := range f.Layers {
		row := f.Phy2Log[i]
		seen := make([]bool, len(row))
		for n, e := range row {
			if e < 0 || e >= len(row) || seen[e] {
				return nil, invalid.Errorf("phy2log of layer %d: %d at %d: a renumbering has each of %d experts once", l, e, n, len(row))
			}
			seen[e] = true
		}
		switch {
		case l < 0 || order[l] != nil:
			return nil, invalid.Errorf("layer %d: a second one, or no layer", l)
		case len(row) != f.Experts:
			return nil, invalid.Errorf("phy2log of layer %d has %d experts, not %d", l, len(row), f.Experts)
		}
		order[l] = row
	}
	return order, nil
}
