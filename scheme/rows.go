package scheme

import (
	"sync"

	"quern/fp8"
	"quern/group"
)

// rowCoder codes with a format of package group, whose parts are whole rows. The
// statistics of rows are added in their order: those of parts that came too early wait.
type rowCoder struct {
	format group.Format
	whole  map[int][]byte // of outputs of the whole matrix

	mu     sync.Mutex
	stats  Stats
	next   int64 // the row that is to be added
	parked map[int64][]group.Row
}

func newRowCoder(f group.Format, whole map[int][]byte) Coder {
	return &rowCoder{format: f, whole: whole, parked: map[int64][]group.Row{}}
}

// Code implements [Coder]. Codes are output 0; scales of groups or rows, if the format
// has some, output 1.
func (c *rowCoder) Code(out [][]byte, p Part, m fp8.Matrix) error {
	rows := make([]group.Row, p.Rows)
	if err := c.format.Encode(coded(c.format.Layout(), out, p.Cols), rows, m); err != nil {
		return err
	}
	for i := range rows {
		if rows[i].NonFinite() {
			return ErrNonFinite
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parked[p.Row] = rows
	for {
		rows, ok := c.parked[c.next]
		if !ok {
			return nil
		}
		delete(c.parked, c.next)
		c.next += int64(len(rows))
		for i := range rows {
			c.stats.Add(&rows[i])
		}
	}
}

// coded is the view of a part's bytes. The rows of a part lie without gaps.
func coded(l group.Layout, out [][]byte, cols int64) group.Coded {
	c := group.Coded{Codes: out[0], CodeStride: l.CodeBytes(int(cols))}
	if l.ScaleBytes > 0 {
		c.Scales, c.ScaleStride = out[1], l.Scales(int(cols))*l.ScaleBytes
	}
	return c
}

// Whole implements [Coder].
func (c *rowCoder) Whole(k int) []byte { return c.whole[k] }

// Stats implements [Coder].
func (c *rowCoder) Stats() Stats { return c.stats }

// decodeRows is Decode for a format of package group.
func decodeRows(f group.Format, dst []byte, stride int, elem fp8.Elem, in [][]byte, p Part) error {
	return f.Decode(dst, stride, elem, coded(f.Layout(), in, p.Cols), int(p.Rows), int(p.Cols))
}

// recodeRows is Recode for a format of package group.
func recodeRows(f group.Recoder, in [][]byte, m fp8.Matrix, p Part) error {
	return f.Recode(coded(f.Layout(), in, p.Cols), m)
}
