package engine

import (
	"fmt"

	"quern/convert/plan"
	"quern/fp8"
)

// nonFinite describes a tensor in which a NaN or an infinity was met: it reads
// the whole tensor again to count them and to find the first, whichever chunk
// raised the alarm.
func (e *engine) nonFinite(j *job) error {
	from, ok := plan.Elem(j.tensor.Source.DType)
	if !ok {
		return e.blame(j.tensor, "a value times its scale is not finite")
	}
	count, first, err := e.census(j, func(p []byte) (int64, int64) { return fp8.CountNonFinite(p, from) })
	if err != nil {
		return err
	}
	what := "NaN or infinite"
	if from == fp8.ElemF64 {
		what = "NaN, infinite or beyond float32's range"
	}
	return e.blame(j.tensor, "%s %s, the first at index %d%s of %v", plural(count, "value is", "values are"), what, first, e.position(j, first), j.tensor.Source.Shape)
}

// beyond describes a tensor with values that BF16 cannot hold.
func (e *engine) beyond(j *job) error {
	from, _ := plan.Elem(j.tensor.Source.DType)
	buf := make([]byte, censusBytes)
	count, first, err := e.census(j, func(p []byte) (int64, int64) { return fp8.CastBF16(buf, p, from) })
	if err != nil {
		return err
	}
	return e.blame(j.tensor, "%s beyond BF16's range, the first at index %d%s of %v", plural(count, "value is", "values are"), first, e.position(j, first), j.tensor.Source.Shape)
}

// nanCodes describes an E4M3 tensor in which a NaN code was met.
func (e *engine) nanCodes(j *job) error {
	count, first, err := e.census(j, fp8.CountNaNCodes)
	if err != nil {
		return err
	}
	return e.blame(j.tensor, "%s NaN, the first at index %d%s of %v", plural(count, "code is", "codes are"), first, e.position(j, first), j.tensor.Source.Shape)
}

const censusBytes = 1 << 20

// census counts over all bytes of a job's source.
func (e *engine) census(j *job, count func([]byte) (n, first int64)) (total, at int64, err error) {
	v := &j.tensor.Source
	in, err := e.input(v.File)
	if err != nil {
		return 0, 0, err
	}
	size := v.DType.Bits() / 8
	buf := make([]byte, censusBytes)
	at = -1
	for off, end := int64(0), v.Bytes(); off < end; off += int64(len(buf)) {
		p := buf[:min(int64(len(buf)), end-off)]
		if err := e.readView(in, v, p, off); err != nil {
			return 0, 0, err
		}
		n, first := count(p)
		if n > 0 && at < 0 {
			at = off/size + first
		}
		total += n
	}
	if total == 0 { // what raised the alarm is no longer there
		return 0, 0, changed(e.opts.Sources[v.File].Path)
	}
	return total, at, nil
}

// position adds row and column to an index into a matrix.
func (e *engine) position(j *job, i int64) string {
	shape := j.tensor.Source.Shape
	if len(shape) != 2 || shape[1] == 0 {
		return ""
	}
	return fmt.Sprintf(" (row %d, column %d)", i/shape[1], i%shape[1])
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
