package packed

import "encoding/binary"

// wordsFor returns how many 32-bit words n codes fill.
func wordsFor(n, bits int) int { return (n*bits + 31) / 32 }

func streamBytes(m *Matrix) int { return 4 * m.Rows * wordsFor(m.Cols, m.Bits) }

func word(data []byte, i int) uint32 { return binary.LittleEndian.Uint32(data[4*i:]) }

// streamCodes reads rows whose codes follow each other bit by bit, from the lowest of
// the first byte on. Little-endian words make no difference to that.
func streamCodes(m *Matrix, q []uint8, stride, row0, rows int) {
	width := 4 * wordsFor(m.Cols, m.Bits)
	apart := apartOf(m.Bits)
	for r := range rows {
		in, out := m.Codes[(row0+r)*width:][:width], q[r*stride:]
		c := 0
		for ; len(in) >= 8 && c < m.Cols; c += 8 {
			binary.LittleEndian.PutUint64(out[c:], apart.of(binary.LittleEndian.Uint64(in)))
			in = in[m.Bits:]
		}
		for ; c < m.Cols; c += 8 { // fewer than 8 bytes are left to read from
			var last [8]byte
			copy(last[:], in)
			binary.LittleEndian.PutUint64(out[c:], apart.of(binary.LittleEndian.Uint64(last[:])))
			in = in[min(m.Bits, len(in)):]
		}
	}
}

// apart brings 8 codes, of the lowest bits of a word, to a byte each: halves of the word
// move apart, then halves of those, then of those.
type apart struct {
	shift     [3]uint
	low, high [3]uint64 // what stays and what has moved
}

func apartOf(bits int) *apart {
	a := new(apart)
	for i, field := range []int{32, 16, 8} {
		n := field / 8 * bits // bits of the codes of a half
		a.shift[i] = uint(field - n)
		for at := 0; at < 64; at += 2 * field {
			mask := uint64(1)<<n - 1
			a.low[i] |= mask << at
			a.high[i] |= mask << (at + field)
		}
	}
	return a
}

func (a *apart) of(x uint64) uint64 {
	x = x&a.low[0] | x<<(a.shift[0]&63)&a.high[0] // 63: below 64, as they are, costs no test
	x = x&a.low[1] | x<<(a.shift[1]&63)&a.high[1]
	return x&a.low[2] | x<<(a.shift[2]&63)&a.high[2]
}

// zerosAlongRows reads a zero point of words that run along the outputs.
func zerosAlongRows(m *Matrix, row, group int) int {
	bit := row * m.Bits
	w := uint64(word(m.Zeros, bit/32*m.groups()+group))
	if bit%32+m.Bits > 32 { // the code goes on in the next word
		w |= uint64(word(m.Zeros, (bit/32+1)*m.groups()+group)) << 32
	}
	return int(w >> (bit % 32) & (1<<m.Bits - 1))
}

// awqShifts say where in a word the code of each of eight outputs lies.
var awqShifts = [8]int{0, 16, 4, 20, 8, 24, 12, 28}

// awqOutputs say which output the code at each place of a word is of.
var awqOutputs = [8]int{0, 2, 4, 6, 1, 3, 5, 7}

// awqCodes turns round eight words, of as many inputs, at a time.
func awqCodes(m *Matrix, q []uint8, stride, row0, rows int) {
	width, apart := m.Rows/8, apartOf(4)
	for at := row0 / 8; at*8 < row0+rows; at++ {
		for c := 0; c < m.Cols; c += 8 {
			var x [8]uint64
			in := m.Codes[4*(c*width+at):]
			for i := range min(8, m.Cols-c) {
				x[i] = apart.of(uint64(binary.LittleEndian.Uint32(in[4*i*width:])))
			}
			turn8(&x)
			for i, code := range x {
				if r := uint(8*at + awqOutputs[i] - row0); r < uint(rows) { // parts of words may be asked for
					binary.LittleEndian.PutUint64(q[int(r)*stride+c:], code)
				}
			}
		}
	}
}

// turn8 turns a square of 8×8 bytes round: halves of it change places, then halves of
// those, then single bytes.
func turn8(x *[8]uint64) {
	for i := range 4 {
		a, b := x[i], x[i+4]
		x[i], x[i+4] = a&0xffffffff|b<<32, a>>32|b&^0xffffffff
	}
	for _, i := range [...]int{0, 1, 4, 5} {
		const keep = 0x0000ffff0000ffff
		a, b := x[i&7], x[(i+2)&7]
		x[i&7], x[(i+2)&7] = a&keep|b&keep<<16, a>>16&keep|b&^keep
	}
	for i := 0; i < 8; i += 2 {
		const keep = 0x00ff00ff00ff00ff
		a, b := x[i], x[i+1]
		x[i], x[i+1] = a&keep|b&keep<<8, a>>8&keep|b&^keep
	}
}

func awqZeros(m *Matrix, row, group int) int {
	return int(word(m.Zeros, group*(m.Rows/8)+row/8) >> awqShifts[row%8] & 15)
}

func gptqCodes(m *Matrix, q []uint8, stride, row0, rows int) {
	per, apart := 32/m.Bits, apartOf(m.Bits)
	for at := range wordsFor(m.Cols, m.Bits) {
		in, out := m.Codes[4*(at*m.Rows+row0):][:4*rows], q[at*per:]
		for r := range rows {
			w := binary.LittleEndian.Uint32(in[4*r:])
			switch to := out[r*stride:]; per {
			case 4:
				binary.LittleEndian.PutUint32(to, w)
			case 8:
				binary.LittleEndian.PutUint64(to, apart.of(uint64(w)))
			case 16:
				binary.LittleEndian.PutUint64(to, apart.of(uint64(w&0xffff)))
				binary.LittleEndian.PutUint64(to[8:], apart.of(uint64(w>>16)))
			}
		}
	}
}

func gptqZeros(m *Matrix, row, group int) int {
	bit := row * m.Bits
	w := word(m.Zeros, group*wordsFor(m.Rows, m.Bits)+bit/32)
	return int(w >> (bit % 32) & (1<<m.Bits - 1))
}

// signedCodes reads bytes from −128 to 127.
func signedCodes(m *Matrix, q []uint8, stride, row0, rows int) {
	for r := range rows {
		in, out := m.Codes[(row0+r)*m.Cols:][:m.Cols], q[r*stride:]
		const sign = 0x8080808080808080
		for ; len(in) >= 8; in, out = in[8:], out[8:] {
			binary.LittleEndian.PutUint64(out, binary.LittleEndian.Uint64(in)^sign)
		}
		for i, c := range in {
			out[i] = c ^ sign&0xff
		}
	}
}
