package group

import (
	"fmt"

	"quern/fp8"
)

// A Format is one way to write the numbers of a matrix, with all choices that change
// bytes. Its methods may be called from many goroutines at once.
type Format interface {
	// Layout says how much room codes and scales take.
	Layout() Layout

	// Encode writes the codes and scales of m and adds what it counted to rows, one
	// for each row of m. Weights that are not finite are reported by Row.NonFinite,
	// not as an error: only the caller can name the tensor. The error says which
	// argument does not fit; nothing has been written then.
	Encode(dst Coded, rows []Row, m fp8.Matrix) error

	// Decode writes the values of rows×cols codes as elements of type elem, ElemBF16
	// or ElemF32, row r from element r·dstStride on: the product of value and scale,
	// rounded to float32 and from there to BF16. NaN comes out as NaN, 0x7FC0, with
	// the sign of a code that is NaN.
	Decode(dst []byte, dstStride int, elem fp8.Elem, src Coded, rows, cols int) error
}

// A Recoder is a format whose codes are to be judged under scales that somebody else
// has chosen.
type Recoder interface {
	Format

	// Recode writes the codes that are nearest to the weights under the scales that
	// are in dst, and leaves those alone. Weights that are not finite, and scales that
	// are none, give any codes.
	Recode(dst Coded, m fp8.Matrix) error
}

// Layout is the room that a format takes.
type Layout struct {
	Group      int // weights along a row that share a scale; 0 where a scale covers a row or more
	CodeBits   int
	ScaleBytes int // of one scale; 0 where the format has none besides a tensor's
}

// CodeBytes returns the bytes of the codes of n weights of a row.
func (l Layout) CodeBytes(n int) int { return n/8*l.CodeBits + n%8*l.CodeBits/8 }

// Scales returns how many scales n weights of a row have.
func (l Layout) Scales(n int) int {
	if l.Group == 0 {
		return 1
	}
	return n / l.Group
}

// Check says whether a row of cols weights can be written: it has to hold whole
// groups.
func (l Layout) Check(cols int) error {
	if l.Group != 0 && cols%l.Group != 0 {
		return fmt.Errorf("%d columns are no multiple of the group of %d", cols, l.Group)
	}
	return nil
}

// Coded is a view of the codes and scales of a matrix: those of row r begin at
// Codes[r·CodeStride] and Scales[r·ScaleStride]. Both strides are in bytes; what lies
// between the rows is left alone.
type Coded struct {
	Codes, Scales           []byte
	CodeStride, ScaleStride int
}

// check says whether the view holds rows×cols weights.
func (c *Coded) check(l Layout, rows, cols int) error {
	if err := l.Check(cols); err != nil {
		return err
	}
	if err := fp8.CheckRows("codes", len(c.Codes), c.CodeStride, rows, l.CodeBytes(cols)); err != nil {
		return err
	}
	if l.ScaleBytes == 0 || cols == 0 {
		return nil
	}
	return fp8.CheckRows("scales", len(c.Scales), c.ScaleStride, rows, l.Scales(cols)*l.ScaleBytes)
}

// checkEncode says whether the arguments of Encode fit.
func checkEncode(l Layout, dst *Coded, rows []Row, m *fp8.Matrix) error {
	if m.Elem.Size() == 0 {
		return fmt.Errorf("encoding: element type %v is unknown", m.Elem)
	}
	if err := fp8.CheckRows("source", len(m.Data)/m.Elem.Size(), m.Stride, m.Rows, m.Cols); err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	if err := dst.check(l, m.Rows, m.Cols); err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	if len(rows) != m.Rows {
		return fmt.Errorf("encoding: statistics of %d rows for %d", len(rows), m.Rows)
	}
	return nil
}

// checkDecode says whether the arguments of Decode fit.
func checkDecode(l Layout, dst []byte, dstStride int, elem fp8.Elem, src *Coded, rows, cols int) error {
	if elem != fp8.ElemBF16 && elem != fp8.ElemF32 {
		return fmt.Errorf("decoding: no conversion to %v", elem)
	}
	if err := src.check(l, rows, cols); err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	if err := fp8.CheckRows("destination", len(dst)/elem.Size(), dstStride, rows, cols); err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	return nil
}
