package record

import (
	"bytes"
	"encoding/binary"
	"io"

	"quern/internal/blake3"
	"quern/internal/blockio"
)

const (
	headSize = 4 + 8 + sumSize
	sumSize  = 16
	mostName = 1 << 16
	mostData = 1 << 32 // of a record: that of 40 million tokens
)

// appendFrame appends a record to buf.
func appendFrame(buf []byte, name string, data []byte) []byte {
	at := len(buf)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(name)))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(len(data)))
	buf = append(buf, make([]byte, sumSize)...)
	buf = append(append(buf, name...), data...)
	sum := frameSum(buf[at:at+12], buf[at+headSize:])
	copy(buf[at+12:], sum)
	return buf
}

func frameSum(lengths, rest []byte) []byte {
	h := blake3.New()
	_, _ = h.Write(lengths)
	_, _ = h.Write(rest)
	return h.Sum(nil)[:sumSize]
}

// readFrame reads the frame at an offset of what has size bytes. ok is false where there
// is none that is whole.
func readFrame(r io.ReaderAt, at, size int64) (name string, data []byte, next int64, ok bool) {
	var head [headSize]byte
	if size-at < headSize || blockio.ReadFull(r, head[:], at) != nil {
		return "", nil, at, false
	}
	n, d := int64(binary.LittleEndian.Uint32(head[:])), binary.LittleEndian.Uint64(head[4:])
	if n > mostName || d > mostData || int64(d) > size-at-headSize-n {
		return "", nil, at, false
	}
	rest := make([]byte, n+int64(d))
	if blockio.ReadFull(r, rest, at+headSize) != nil || !bytes.Equal(frameSum(head[:12], rest), head[12:]) {
		return "", nil, at, false
	}
	return string(rest[:n]), rest[n:], at + headSize + int64(len(rest)), true
}
