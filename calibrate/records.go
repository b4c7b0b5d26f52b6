package calibrate

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"quern/internal/blake3"
)

// record is a line of the state file, behind a digest of itself. The first has Run; of
// the others each one with Layer is followed by so many bytes.
type record struct {
	Run    *identity     `json:"run,omitempty"`
	Layer  *layerRecord  `json:"layer,omitempty"`
	Commit *commitRecord `json:"commit,omitempty"`
}

// layerRecord has the statistics of a layer.
type layerRecord struct {
	Number int    `json:"number"`
	Blobs  []blob `json:"blobs"`
	Bytes  int64  `json:"bytes"`
	Digest string `json:"blake3"`
}

// blob is the content of tensors that are equal.
type blob struct {
	Names []string `json:"names"`
	DType string   `json:"dtype"`
	Shape []int64  `json:"shape"`
	Bytes int64    `json:"bytes"`

	at int64 // in the state file
}

// commitRecord says that all layers up to one are done, and where the hidden states
// are that the next one begins with.
type commitRecord struct {
	Layer  int    `json:"layer"`
	Slot   int    `json:"slot"` // −1: that was the last one
	Digest string `json:"blake3"`
}

// logReader reads a state file from front to back.
type logReader struct {
	r  *bufio.Reader
	at int64
}

// next returns the next record that is whole, nil where there is none.
func (l *logReader) next() (*record, error) {
	line, err := l.r.ReadBytes('\n')
	if err != nil {
		if err == io.EOF {
			return nil, nil
		}
		return nil, fmt.Errorf("reading the state of an earlier run: %w", err)
	}
	var rec record
	sum, text, _ := bytes.Cut(line[:len(line)-1], []byte(" "))
	if string(sum) != lineDigest(text) || json.Unmarshal(text, &rec) != nil || rec.Run == nil && rec.Layer == nil && rec.Commit == nil {
		return nil, nil
	}
	at := l.at + int64(len(line))
	if x := rec.Layer; x != nil {
		h := blake3.New()
		if n, err := io.CopyN(h, l.r, x.Bytes); err != nil || n != x.Bytes || hex.EncodeToString(h.Sum(nil)) != x.Digest {
			return nil, nil
		}
		for i := range x.Blobs {
			x.Blobs[i].at = at
			at += x.Blobs[i].Bytes
		}
		if at != l.at+int64(len(line))+x.Bytes {
			return nil, nil
		}
	}
	l.at = at
	return &rec, nil
}

// lineDigest is what a line begins with.
func lineDigest(text []byte) string {
	sum := blake3.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
