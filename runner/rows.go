package runner

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"unsafe"
)

// Rows are hidden states of many tokens: in memory, or in a temporary file that is
// gone with the process. Concurrent reading is safe.
type Rows struct {
	n, width int
	room     int // rows
	mem      []float32
	file     *os.File
}

// newRows makes room for n rows. spill puts them into a file in dir ("": the
// system's folder for such).
func newRows(n, width int, spill bool, dir string) (*Rows, error) {
	r := &Rows{n: n, room: n, width: width}
	if !spill || width == 0 {
		r.mem = make([]float32, n*width)
		return r, nil
	}
	f, err := os.CreateTemp(dir, "quern-activations-*")
	if err != nil {
		return nil, fmt.Errorf("making room for activations: %w", err)
	}
	// Without a name the file goes away with the process, however that ends. Where
	// that is not possible it is removed in Close.
	_ = os.Remove(f.Name())
	r.file = f
	if err := f.Truncate(int64(n) * int64(width) * 4); err != nil {
		r.Close()
		return nil, fmt.Errorf("making room for activations: %w", err)
	}
	return r, nil
}

// resize makes r hold n rows, of any content, and reports whether it has the width and
// the room for them.
func (r *Rows) resize(n, width int) bool {
	if r.width != width || n > r.room {
		return false
	}
	r.n = n
	if r.file == nil {
		r.mem = r.mem[:n*width]
	}
	return true
}

// Len is the number of rows, Width that of their elements.
func (r *Rows) Len() int { return r.n }

// Width is the number of elements of a row.
func (r *Rows) Width() int { return r.width }

// Bytes is the memory that the rows take: none in a file.
func (r *Rows) Bytes() int64 {
	if r == nil {
		return 0
	}
	return 4 * int64(cap(r.mem))
}

// Close gives the rows back.
func (r *Rows) Close() {
	if r == nil {
		return
	}
	r.mem = nil
	if r.file != nil {
		_ = r.file.Close()
		_ = os.Remove(r.file.Name())
		r.file = nil
	}
}

// View returns n rows from first on: those that are in memory, else in buf, which has
// room for them.
func (r *Rows) View(first, n int, buf []float32) ([]float32, error) {
	if r.file == nil {
		return r.mem[first*r.width:][:n*r.width], nil
	}
	buf = buf[:n*r.width]
	if _, err := r.file.ReadAt(raw(buf), int64(first)*int64(r.width)*4); err != nil {
		return nil, fmt.Errorf("reading activations back: %w", err)
	}
	toHost(buf)
	return buf, nil
}

// put stores rows that View returned, or others.
func (r *Rows) put(first int, x []float32) error {
	if r.file == nil {
		if dst := r.mem[first*r.width:][:len(x)]; len(x) > 0 && &dst[0] != &x[0] {
			copy(dst, x)
		}
		return nil
	}
	toHost(x) // to little-endian where that is another order, and back
	defer toHost(x)
	if _, err := r.file.WriteAt(raw(x), int64(first)*int64(r.width)*4); err != nil {
		return fmt.Errorf("setting activations aside: %w", err)
	}
	return nil
}

// raw are the bytes of x.
func raw(x []float32) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}

var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// toHost swaps the bytes of x on big-endian machines.
func toHost(x []float32) {
	if !bigEndian {
		return
	}
	b := raw(x)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
}
