package fp8

import "fmt"

// Encode writes the codes of m under scales that are given: the scale of each tile is
// read from tiles, which has the entries that [Quantize] would fill, and the other
// fields are set to what Quantize would have put there for that scale. Codes are those
// of Quantize: E4M3FromFloat32(w/s), so each is the nearest to its weight.
//
// The error says which argument does not fit, or which scale is not positive and
// finite; nothing has been written then.
func Encode(codes []byte, codeStride int, tiles []TileStats, m Matrix) error {
	tileRows, tileCols, err := checkQuantize(codes, codeStride, tiles, m, Options{})
	if err != nil {
		return err
	}
	for i := range tiles {
		if s := tiles[i].Scale; !(s > 0) || s-s != 0 {
			return fmt.Errorf("encoding: tile %d has the scale %v", i, s)
		}
	}
	k := current.Load()
	ws := getWorkspace()
	defer putWorkspace(ws)
	for i := range tileRows {
		for j := range tileCols {
			t := &tiles[i*tileCols+j]
			*t = encodeTile(k, ws, m.tile(i, j, codes, codeStride), t.Scale)
		}
	}
	return nil
}

// encodeTile is Encode for one tile.
func encodeTile(p *path, ws *workspace, t tile, s float32) TileStats {
	if !isNormal(s) { // odd scales are no kernel's business
		p = &genericPath
	}
	k := p.bind(ws, t)
	amax, finite := k.amax()
	if !finite {
		return TileStats{Scale: s, NonFinite: true}
	}
	return k.encode(s, s < scaleOf(amax, ScaleFloat)).stats(s, amax)
}
