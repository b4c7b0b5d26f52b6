package plan

// Read fills p with the view's bytes from byte at on, whatever order they are stored
// in, by a function that reads from an offset into the data section. Of a view with a
// Stride, at and the length of p are whole elements.
func (v *View) Read(p []byte, at int64, read func(p []byte, off int64) error) error {
	if v.Stride > 0 {
		return v.readTurned(p, at, read)
	}
	for off, n := range v.Runs(at, int64(len(p))) {
		if err := read(p[:n], off); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// readTurned reads the stored rows that the columns of the view are, as far as they
// belong to the rows that p has a part of.
func (v *View) readTurned(p []byte, at int64, read func(p []byte, off int64) error) error {
	size, cols := v.DType.Bits()/8, v.Shape[1]
	first, end := at/size, (at+int64(len(p)))/size
	if first >= end {
		return nil
	}
	top, bottom := first/cols, (end-1)/cols+1
	column := make([]byte, (bottom-top)*size)
	for c := range cols {
		lo, hi := top, bottom
		if lo*cols+c < first {
			lo++
		}
		if (hi-1)*cols+c >= end {
			hi--
		}
		if lo >= hi {
			continue
		}
		from := column[:(hi-lo)*size]
		if err := read(from, v.Offset+(c*v.Stride+lo)*size); err != nil {
			return err
		}
		to := p[(lo*cols+c-first)*size:]
		for i := range hi - lo {
			copy(to[i*cols*size:][:size], from[i*size:])
		}
	}
	return nil
}

// extent is how many bytes lie between the first and the last one of the view.
func (v *View) extent() int64 {
	if v.Stride > 0 && len(v.Shape) == 2 && v.Shape[0] > 0 && v.Shape[1] > 0 {
		return ((v.Shape[1]-1)*v.Stride + v.Shape[0]) * v.DType.Bits() / 8
	}
	return v.Bytes()
}
