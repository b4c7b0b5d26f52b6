package safetensors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"quern/internal/blake3"
	"quern/internal/invalid"
)

// ReadHeader reads the header of a file of size bytes and checks it against that
// size; of the data section nothing is read. Memory is proportional to the header,
// and nothing is allocated by a length that the file's size does not cover.
//
// See the package comment for what is refused.
func ReadHeader(r io.ReaderAt, size int64, l Limits) (*Header, error) {
	l = l.withDefaults()
	n, err := headerLength(r, size, l)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, lengthBytes+n)
	if err := readStart(r, buf); err != nil {
		return nil, err
	}
	if buf[lengthBytes] != '{' {
		if err := sniff(buf); err != nil {
			return nil, err
		}
		return nil, invalid.Errorf("header: it begins with %q, not with '{'", buf[lengthBytes])
	}
	h, err := parseHeader(buf[lengthBytes:], size-lengthBytes-n, l)
	if err != nil {
		return nil, err
	}
	h.DataOffset = lengthBytes + n
	h.Digest = blake3.Sum256(buf)
	return h, nil
}

// headerLength reads N and checks that a header of that length can be there.
func headerLength(r io.ReaderAt, size int64, l Limits) (int64, error) {
	if size <= 0 {
		return 0, invalid.Errorf("the file is empty")
	}
	var start [lengthBytes]byte
	if err := readStart(r, start[:min(size, lengthBytes)]); err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint64(start[:])
	var fault error
	switch {
	case size < lengthBytes:
		fault = invalid.Errorf("the file has %d bytes, too few for the 8-byte header length: truncated download?", size)
	case n > uint64(l.HeaderBytes):
		fault = invalid.Errorf("header length %d exceeds the limit of %d bytes: not a safetensors file?", n, l.HeaderBytes)
	case n > uint64(size-lengthBytes):
		fault = invalid.Errorf("header length %d exceeds the file, which has %d bytes: truncated download?", n, size)
	case n == 0:
		fault = invalid.Errorf("header length 0: the header must be at least {}")
	default:
		return int64(n), nil
	}
	// Files of another kind end here: text read as a length is immense.
	begin := make([]byte, min(size, sniffBytes))
	if err := readStart(r, begin); err != nil {
		return 0, err
	}
	if err := sniff(begin); err != nil {
		return 0, err
	}
	return 0, fault
}

// readStart fills buf with the first bytes of the file.
func readStart(r io.ReaderAt, buf []byte) error {
	n, err := r.ReadAt(buf, 0)
	switch {
	case n == len(buf):
		return nil
	case err == nil:
		err = io.ErrNoProgress // against the contract of io.ReaderAt
	case errors.Is(err, io.EOF):
		return invalid.Errorf("the file ends at byte %d, inside its header: truncated while it was read?", n)
	}
	return fmt.Errorf("reading the header: %w", err)
}
