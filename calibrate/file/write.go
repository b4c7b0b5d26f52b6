package file

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"path/filepath"

	"quern/formats/safetensors"
	"quern/internal/blake3"
	"quern/internal/blockio"
	"quern/store"
)

// Entry is a tensor that is to be written.
type Entry struct {
	Name  string
	DType safetensors.DType
	Shape []int64
	Data  func(w io.Writer) error // writes its bytes
}

// Write writes a calibration file, whole or not at all, and returns its digest. fs nil
// is the machine's file system. Equal info and entries give equal bytes, in whatever
// order the entries come.
func Write(fs blockio.FS, path string, info *Info, entries []Entry) (digest [32]byte, err error) {
	tensors := make([]safetensors.Tensor, len(entries))
	at := make(map[string]int, len(entries))
	for i, e := range entries {
		tensors[i] = safetensors.Tensor{Name: e.Name, DType: e.DType, Shape: e.Shape}
		at[e.Name] = i
	}
	h, head, err := safetensors.NewHeader(tensors, info.Metadata())
	if err != nil {
		return digest, fmt.Errorf("writing %q: %w", path, err)
	}
	f, err := store.LocalSink(fs, filepath.Dir(path)).Create(context.Background(), filepath.Base(path))
	if err != nil {
		return digest, err
	}
	out := &writer{f: f, hash: blake3.New()}
	b := bufio.NewWriterSize(out, 1<<20)
	_, _ = b.Write(head)
	for i := range h.Tensors {
		t := &h.Tensors[i]
		before := out.at + int64(b.Buffered())
		if err = entries[at[t.Name]].Data(b); err != nil {
			err = fmt.Errorf("tensor %q: %w", t.Name, err)
			break
		}
		if n := out.at + int64(b.Buffered()) - before; n != t.Bytes() {
			err = fmt.Errorf("tensor %q: %d bytes instead of %d", t.Name, n, t.Bytes())
			break
		}
	}
	if err == nil {
		err = b.Flush()
	}
	if err != nil {
		f.Discard()
		return digest, fmt.Errorf("writing %q: %w", path, err)
	}
	copy(digest[:], out.hash.Sum(nil))
	return digest, f.Commit()
}

// writer writes a file from front to back and hashes it.
type writer struct {
	f    store.Part
	hash *blake3.Hasher
	at   int64
}

func (w *writer) Write(p []byte) (int, error) {
	if err := blockio.WriteFull(w.f, p, w.at); err != nil {
		return 0, err
	}
	_, _ = w.hash.Write(p)
	w.at += int64(len(p))
	return len(p), nil
}
