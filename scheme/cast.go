package scheme

import (
	"encoding/binary"
	"math"
	"sync"

	"quern/fp8"
	"quern/group"
)

// cast rewrites codes of one scheme as those of another that can stand for the same
// numbers (formats-2026.md §4.6).
type cast struct {
	from, to string
	// top: what is written depends on the largest scale that is read, of the matrix and of
	// all that share a scale with it.
	top bool
	// run writes the outputs of a part. in are the bytes of the outputs that are read;
	// of E4M3 codes only the codes, whose scales are grid's.
	run func(out, in [][]byte, grid *fp8.Grid, p Part, top uint8) (group.Proof, error)
	// decode writes the values of row r of the outputs as float32, or of as many as band
	// says, which r is a multiple of.
	decode func(dst []byte, out [][]byte, p Part, r int64, top uint8) error
	band   int64
	// of makes the cast for settings of what is written, where those matter.
	of func(params Params) cast
	// whole is the output that belongs to the whole matrix, by its number; nil: none does.
	whole func(params Params, top uint8) (int, []byte, error)
}

// casts are those that there are. What fits is the rule of package group's functions.
var casts = []cast{
	{
		from: "mxfp4", to: "mxfp8", decode: mxfp8Row,
		run: func(out, in [][]byte, _ *fp8.Grid, p Part, _ uint8) (group.Proof, error) {
			return group.MXFP4ToMXFP8(coded(group.MXFP8{}.Layout(), out, p.Cols), coded(group.MXFP4{}.Layout(), in, p.Cols), int(p.Rows), int(p.Cols))
		},
	},
	{
		from: "mxfp4", to: "fp8", decode: blockRow,
		run: func(out, in [][]byte, _ *fp8.Grid, p Part, _ uint8) (group.Proof, error) {
			scales := make([]float32, len(out[1])/4)
			proof, err := group.MXFP4ToFP8(out[0], int(p.Cols), scales, coded(group.MXFP4{}.Layout(), in, p.Cols), int(p.Rows), int(p.Cols))
			for i, s := range scales {
				binary.LittleEndian.PutUint32(out[1][4*i:], math.Float32bits(s))
			}
			return proof, err
		},
	},
	{
		from: "mxfp4", to: "nvfp4", top: true, decode: nvfp4Row,
		run: func(out, in [][]byte, _ *fp8.Grid, p Part, top uint8) (group.Proof, error) {
			return group.MXFP4ToNVFP4(coded(group.NVFP4{}.Layout(), out, p.Cols), coded(group.MXFP4{}.Layout(), in, p.Cols), int(p.Rows), int(p.Cols), top)
		},
		whole: nvfp4Whole,
	},
	{
		from: "fp8", to: "mxfp8", decode: mxfp8Row,
		run: func(out, in [][]byte, grid *fp8.Grid, p Part, _ uint8) (group.Proof, error) {
			return group.FP8ToMXFP8(coded(group.MXFP8{}.Layout(), out, p.Cols), in[0], int(p.Cols), int(p.Rows), int(p.Cols), *grid)
		},
	},
	{from: "mxfp4-gpt-oss", to: "mxfp4-gpt-oss", of: turnedCopy},
	{from: "mxfp4-gpt-oss", to: "nvfp4-gpt-oss", top: true, of: turnedCast, whole: nvfp4Whole},
}

func nvfp4Whole(params Params, top uint8) (int, []byte, error) {
	s, err := group.MXFP4ToNVFP4Scale(top)
	if params.Divides {
		s = 1 / s // of a power of two
	}
	return 2, float(s), err
}

func mxfp8Row(dst []byte, out [][]byte, p Part, r int64, _ uint8) error {
	one := group.Coded{Codes: out[0][r*p.Cols:], CodeStride: int(p.Cols), Scales: out[1][r*p.Cols/32:], ScaleStride: int(p.Cols / 32)}
	return group.MXFP8{}.Decode(dst, int(p.Cols), fp8.ElemF32, one, 1, int(p.Cols))
}

func nvfp4Row(dst []byte, out [][]byte, p Part, r int64, top uint8) error {
	s, err := group.MXFP4ToNVFP4Scale(top)
	if err != nil {
		return err
	}
	one := group.Coded{Codes: out[0][r*p.Cols/2:], CodeStride: int(p.Cols / 2), Scales: out[1][r*p.Cols/16:], ScaleStride: int(p.Cols / 16)}
	return group.NVFP4{Tensor: s}.Decode(dst, int(p.Cols), fp8.ElemF32, one, 1, int(p.Cols))
}

func blockRow(dst []byte, out [][]byte, p Part, r int64, _ uint8) error {
	width := ceilDiv(p.Cols, fp8.Tile)
	scales := make([]float32, width)
	for i := range scales {
		scales[i] = math.Float32frombits(binary.LittleEndian.Uint32(out[1][4*(r/fp8.Tile*width+int64(i)):]))
	}
	return fp8.Dequantize(dst, int(p.Cols), fp8.ElemF32, out[0][r*p.Cols:], int(p.Cols), 1, int(p.Cols),
		fp8.Grid{Scales: scales, Rows: 1, Cols: int(width), TileRows: fp8.Tile, TileCols: fp8.Tile})
}

// findCast returns the cast between two schemes by their names, nil if there is none.
func findCast(from, to string) *cast {
	if s, err := Find(from); err == nil {
		from = s.Name // of "", block FP8
	}
	for i := range casts {
		if casts[i].from == from && casts[i].to == to {
			return &casts[i]
		}
	}
	return nil
}

// CanCast reports whether codes of one scheme can be cast to another without loss. Of
// block FP8, scales have to be powers of two.
func CanCast(from, to string) bool { return findCast(from, to) != nil }

// CastWantsTop reports whether a cast begins with the largest scale that is read, of all
// that share a scale with what is written.
func CastWantsTop(from, to string) bool {
	c := findCast(from, to)
	return c != nil && c.top
}

// TopScale is the largest of the scales of a part of MXFP4 codes, as a number: that which
// NewCasting asks for. in are the bytes of the outputs that are read.
func TopScale(in [][]byte) float32 {
	if top := group.TopE8M0(in[1]); top > 0 {
		return fp8.E8M0ToFloat32(top)
	}
	return 0
}

// Casting is the cast of one matrix, part by part, in whatever order and from many
// goroutines at once, as a [Coder] codes one.
type Casting struct {
	cast  *cast
	cols  int64
	top   uint8
	whole []byte // what belongs to the whole matrix, output at
	at    int

	mu    sync.Mutex
	rows  []rowError
	proof group.Proof
}

// rowError is what a row adds to the statistics.
type rowError struct {
	sq, er float64
	most   float32
}

// NewCasting begins a cast between two schemes, see [CanCast], with the settings of the
// one that is written. top is what [TopScale] has found, for those of [CastWantsTop].
func NewCasting(from, to string, params Params, rows, cols int64, top float32) (*Casting, error) {
	c := &Casting{cast: findCast(from, to), cols: cols, rows: make([]rowError, rows)}
	if of := c.cast.of; of != nil {
		made := of(params)
		made.whole = c.cast.whole
		c.cast = &made
	}
	if top > 0 {
		c.top = fp8.E8M0FromFloat32(top)
	}
	if c.cast.whole == nil {
		return c, nil
	}
	var err error
	c.at, c.whole, err = c.cast.whole(params, c.top)
	return c, err
}

// Whole returns the bytes of output k, which belongs to the whole matrix.
func (c *Casting) Whole(k int) []byte {
	if k != c.at {
		return nil
	}
	return c.whole
}

// Code writes the bytes of the outputs of a part. before has its values as float32, in
// what they were decoded from: see cast.run. It returns what became of the part.
func (c *Casting) Code(out, in [][]byte, grid *fp8.Grid, before []byte, p Part) (group.Proof, error) {
	proof, err := c.cast.run(out, in, grid, p, c.top)
	if err != nil {
		return proof, err
	}
	band := max(c.cast.band, 1)
	after := make([]byte, 4*band*p.Cols)
	for r := range p.Rows {
		if r%band == 0 {
			if err := c.cast.decode(after, out, p, r, c.top); err != nil {
				return proof, err
			}
		}
		e := &c.rows[p.Row+r] // no other part has this row
		row := after[4*(r%band)*p.Cols:][:4*p.Cols]
		for i := 0; i < len(row); i += 4 {
			w := math.Float32frombits(binary.LittleEndian.Uint32(before[4*r*p.Cols+int64(i):]))
			d := w - math.Float32frombits(binary.LittleEndian.Uint32(row[i:]))
			e.sq += float64(w) * float64(w)
			e.er += float64(d) * float64(d)
			e.most = max(e.most, float32(math.Abs(float64(d))))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proof.Add(proof)
	return proof, nil
}

// Result says what became of all parts, and their statistics. Sums do not depend on how
// the matrix was cut.
func (c *Casting) Result() (group.Proof, Stats) {
	var s Stats
	for i := range c.rows {
		e := &c.rows[i]
		s.SumSq += e.sq
		s.SumErr += e.er
		s.MaxErr = max(s.MaxErr, float64(e.most))
	}
	s.Tiles = c.proof.Groups
	return c.proof, s
}
