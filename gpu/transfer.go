package gpu

import (
	"encoding/binary"
	"math"
	"unsafe"

	"quern/fp8"
	"quern/gpu/driver"
)

// span returns the bytes of a part in rows that are stride elements of size bytes
// apart, and whether they are as they are to be on the device and in memory that
// the device reads and writes itself.
func (a *accelerator) span(data []byte, p part, stride, size int) ([]byte, bool) {
	data = data[(p.row*stride+p.col)*size:]
	if p.cols != p.stride || p.rows > 1 && stride != p.cols {
		return data, false
	}
	data = data[:p.rows*p.cols*size]
	return data, a.hosts.has(data)
}

// upload sends a part of a matrix of elements of size bytes, whose rows are stride
// elements apart, to byte 0 of the slot's src.
func (a *accelerator) upload(s *slot, data []byte, p part, stride, size int) error {
	src, direct := a.span(data, p, stride, size)
	if direct {
		return s.queue.Write(s.src, 0, src)
	}
	return a.stage(s, p, size, func(line []byte, r int) {
		clear(line[copy(line, src[r*stride*size:][:p.cols*size]):])
	})
}

// uploadMatrix is upload for weights of any type; F64 becomes F32.
func (a *accelerator) uploadMatrix(s *slot, m fp8.Matrix, p part) error {
	if m.Elem != fp8.ElemF64 {
		return a.upload(s, m.Data, p, m.Stride, m.Elem.Size())
	}
	src := m.Data[8*(p.row*m.Stride+p.col):]
	return a.stage(s, p, 4, func(line []byte, r int) {
		for c := range p.cols {
			x := float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*(r*m.Stride+c):])))
			binary.LittleEndian.PutUint32(line[4*c:], math.Float32bits(x))
		}
		clear(line[4*p.cols:])
	})
}

// stage sends a part whose rows put writes one by one, with what pads them.
func (a *accelerator) stage(s *slot, p part, size int, put func(line []byte, r int)) error {
	width := p.stride * size
	host, err := s.host(&s.in, p.rows*width)
	if err != nil {
		return err
	}
	for r := range p.rows {
		put(host[r*width:][:width], r)
	}
	return s.queue.Write(s.src, 0, host)
}

// download fetches a part from the slot's dst into rows of data that are stride
// elements apart; finish, if not nil, does the rest once it is here.
func (a *accelerator) download(s *slot, data []byte, p part, stride, size int) (finish func(), err error) {
	dst, direct := a.span(data, p, stride, size)
	if direct {
		return nil, s.queue.Read(dst, s.dst)
	}
	host, err := s.host(&s.out, p.rows*p.stride*size)
	if err != nil {
		return nil, err
	}
	return func() {
		for r := range p.rows {
			copy(dst[r*stride*size:][:p.cols*size], host[r*p.stride*size:])
		}
	}, s.queue.Read(host, s.dst)
}

// sendSmall sends words to one of the slot's small buffers.
func (s *slot) sendSmall(i int, words []uint32) error {
	p := s.side[i][:4*len(words)]
	copy(wordsOf(p), words)
	return s.queue.Write(s.small[i], 0, p)
}

// fetchSmall fetches n words; they are there when the piece is done.
func (s *slot) fetchSmall(i, n int) ([]uint32, error) {
	p := s.side[i][:4*n]
	return wordsOf(p), s.queue.Read(p, s.small[i])
}

// wordsOf is p as words. All machines with devices are little-endian, and memory
// of drivers is aligned.
func wordsOf(p []byte) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(p))), len(p)/4)
}

// bytesOf is x as bytes.
func bytesOf(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}

// buffers is shorthand for a kernel's arguments.
func buffers(b ...driver.Buffer) []driver.Buffer { return b }
