package packed

import (
	"testing"

	"quern/fp8"
)

// FuzzDecode: parts of any size in any shape are decoded or refused.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4}, uint8(0), uint8(4), int64(8), int64(8), int64(4), uint16(32), uint16(32), uint16(0))
	f.Add([]byte{7}, uint8(2), uint8(4), int64(8), int64(8), int64(8), uint16(32), uint16(16), uint16(4))
	f.Add([]byte{7}, uint8(4), uint8(3), int64(1), int64(32), int64(32), uint16(12), uint16(2), uint16(0))
	f.Fuzz(func(t *testing.T, seed []byte, layout, bits uint8, rows, cols, group int64, codes, scales, zeros uint16) {
		part := func(n uint16) []byte {
			if n == 0 {
				return nil
			}
			b := make([]byte, n)
			for i := range b {
				if len(seed) > 0 {
					b[i] = seed[i%len(seed)]
				}
			}
			return b
		}
		m := Matrix{
			Layout: Layout(layout % 7), Bits: int(bits % 10), Rows: int(rows), Cols: int(cols), Group: int(group),
			Codes: part(codes), Scales: part(scales), Zeros: part(zeros), ScaleElem: fp8.Elem(seed0(seed) % 5),
		}
		if m.Layout == MLX {
			m.Biases = part(scales)
		}
		if len(seed) > 3 {
			m.GroupOf = part(uint16(min(max(4*cols, 0), 1<<12)))
		}
		if m.Check() != nil {
			return
		}
		n := min(m.Rows, 3)
		if m.Cols > 1<<16 {
			n = 0
		}
		dst := make([]byte, 4*n*m.Cols)
		if err := m.Decode(dst, m.Cols, fp8.ElemF32, m.Rows-n, n); err != nil {
			t.Fatal(err)
		}
	})
}

func seed0(seed []byte) byte {
	if len(seed) == 0 {
		return 0
	}
	return seed[0]
}
