package packed

import "encoding/binary"

// wordsFor returns how many 32-bit words n codes fill.
func wordsFor(n, bits int) int { return (n*bits + 31) / 32 }

func streamWords(m *Matrix) int { return m.Rows * wordsFor(m.Cols, m.Bits) }

func word(data []byte, i int) uint32 { return binary.LittleEndian.Uint32(data[4*i:]) }

// streamCodes reads rows whose codes follow each other bit by bit, from the lowest of
// the first byte on. Little-endian words make no difference to that.
func streamCodes(m *Matrix, q []uint8, row0, rows int) {
	stride := 4 * wordsFor(m.Cols, m.Bits)
	mask := uint32(1)<<m.Bits - 1
	for r := range rows {
		in, out := m.Codes[(row0+r)*stride:][:stride], q[r*m.Cols:][:m.Cols]
		if m.Bits == 4 {
			for i, b := range in[:len(out)/2] {
				pair := out[2*i:][:2]
				pair[0], pair[1] = b&15, b>>4
			}
			if n := len(out); n%2 != 0 {
				out[n-1] = in[n/2] & 15
			}
			continue
		}
		var have uint
		var bits uint64
		at := 0
		for c := range out {
			for have < uint(m.Bits) {
				bits |= uint64(in[at]) << have
				have += 8
				at++
			}
			out[c] = uint8(uint32(bits) & mask)
			bits >>= m.Bits
			have -= uint(m.Bits)
		}
	}
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

func awqCodes(m *Matrix, q []uint8, row0, rows int) {
	words := m.Rows / 8
	const run = 16 // inputs at a time: their bytes lie in one line of the cache for each output
	for first := 0; first < m.Cols; first += run {
		for r := range rows {
			at := (row0 + r) / 8
			shift := awqShifts[(row0+r)%8]
			out := q[r*m.Cols+first:][:min(run, m.Cols-first)]
			for c := range out {
				out[c] = uint8(word(m.Codes, (first+c)*words+at) >> shift & 15)
			}
		}
	}
}

func awqZeros(m *Matrix, row, group int) int {
	return int(word(m.Zeros, group*(m.Rows/8)+row/8) >> awqShifts[row%8] & 15)
}

func gptqCodes(m *Matrix, q []uint8, row0, rows int) {
	per := 32 / m.Bits
	mask := uint32(1)<<m.Bits - 1
	for at := range wordsFor(m.Cols, m.Bits) {
		n := min(per, m.Cols-at*per)
		for r := range rows {
			w := word(m.Codes, at*m.Rows+row0+r)
			out := q[r*m.Cols+at*per:][:n]
			for j := range out {
				out[j] = uint8(w & mask)
				w >>= m.Bits
			}
		}
	}
}

func gptqZeros(m *Matrix, row, group int) int {
	bit := row * m.Bits
	w := word(m.Zeros, group*wordsFor(m.Rows, m.Bits)+bit/32)
	return int(w >> (bit % 32) & (1<<m.Bits - 1))
}
