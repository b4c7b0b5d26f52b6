package scheme

import (
	"encoding/binary"
	"errors"
	"math"

	"quern/formats/safetensors"
	"quern/fp8"
)

// BlockFP8 writes E4M3 codes and a float32 scale for each tile of 128×128, DeepSeek's
// form (design §5).
var BlockFP8 = &Scheme{
	Name:  "fp8",
	Title: "with a scale for each tile of 128×128",
	Grain: Grain{fp8.Tile, fp8.Tile},
	Check: func(p Params, _, _ int64) error {
		if p.Rule != 0 || p.Range != 0 || p.Divides || p.Vector {
			return errSetting
		}
		return nil
	},
	Outputs: func(p Params, rows, cols int64) []Output {
		shape := []int64{ceilDiv(rows, fp8.Tile), ceilDiv(cols, fp8.Tile)}
		if p.Expanded {
			shape = []int64{shape[0], 1, shape[1], 1}
		}
		return []Output{
			{Kind: Codes, DType: safetensors.F8E4M3, Shape: []int64{rows, cols}, TileRows: 1, TileCols: 1, Bits: 8},
			{Kind: Scale, DType: safetensors.F32, Shape: shape, TileRows: fp8.Tile, TileCols: fp8.Tile, Bits: 32},
		}
	},
	Coder:  newTileCoder,
	Inputs: groupInputs,
	Floor:  31, // of normal weights 31.5 with float scales (formats.md §2)
}

// errSetting is about settings that a scheme has no use for.
var errSetting = errors.New("a setting that this scheme does not have")

// tileCoder keeps the statistics of all tiles until the end: their sums are added in
// the order of tiles.
type tileCoder struct {
	Job
	tiles []fp8.TileStats
}

func newTileCoder(j *Job) (Coder, error) {
	c := &tileCoder{Job: *j, tiles: make([]fp8.TileStats, ceilDiv(j.Rows, fp8.Tile)*ceilDiv(j.Cols, fp8.Tile))}
	if c.Tiles == nil {
		c.Tiles = fp8.Quantize
	}
	return c, nil
}

// Code implements [Coder].
func (c *tileCoder) Code(out [][]byte, p Part, m fp8.Matrix) error {
	o := fp8.Options{Search: c.Search}
	if c.UE8M0 {
		o.ScaleFormat = fp8.ScaleUE8M0
	}
	if c.Channels != nil {
		o.Weights = c.Channels[p.Col : p.Col+p.Cols]
	}
	across, width := ceilDiv(c.Cols, fp8.Tile), ceilDiv(p.Cols, fp8.Tile)
	tiles := make([]fp8.TileStats, ceilDiv(p.Rows, fp8.Tile)*width)
	if err := c.Tiles(out[0], int(p.Cols), tiles, m, o); err != nil {
		return err
	}
	for i := range tiles {
		if tiles[i].NonFinite {
			return ErrNonFinite
		}
		binary.LittleEndian.PutUint32(out[1][4*i:], math.Float32bits(tiles[i].Scale))
	}
	first := p.Row/fp8.Tile*across + p.Col/fp8.Tile
	for at := int64(0); at < int64(len(tiles)); at += width {
		copy(c.tiles[first+at/width*across:], tiles[at:at+width])
	}
	return nil
}

// Whole implements [Coder]. There is no such output.
func (c *tileCoder) Whole(int) []byte { return nil }

// Stats implements [Coder].
func (c *tileCoder) Stats() (s Stats) {
	for i := range c.tiles {
		s.Stats.Add(c.tiles[i])
	}
	c.tiles = nil
	return s
}
