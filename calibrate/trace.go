package calibrate

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"

	"quern/calibrate/file"
	"quern/formats/safetensors"
	"quern/internal/blockio"
	"quern/runner"
	"quern/store"
)

// traceRouter is the tensor with the experts that a layer's router chose.
const traceRouter = "router.%d.indices"

// trace writes a routing trace: a safetensors file with
//
//	router.{l}.indices  I32 [T, k]   the experts that layer l chose, best first; fewer rows for MTP
//	input_ids           I64 [T]      tokens, those that begin a sequence included
//	offsets             I64 [n+1]    the tokens that texts begin with, and T
//	sequences           I64 [m+1]    the tokens that sequences begin with, and T
//
// Its size is known from the beginning, so that each layer is written to its place.
type trace struct {
	fs   blockio.FS
	path string
	file blockio.File
	head []byte        // what the file begins with: header, tokens, offsets
	size int64         // of the whole file
	at   map[int]place // of the choices, by layer
	buf  []byte        // scratch
}

// place is where the choices of a layer lie.
type place struct {
	at int64
	k  int
}

// newTrace lays a trace out. It creates nothing.
func newTrace(fsys blockio.FS, path string, info *file.Info, routed []runner.Routed, c *tokens) (*trace, error) {
	t := &trace{fs: fsys, path: path, at: map[int]place{}}
	rows, mtp := int64(c.starts[len(c.ids)]), int64(c.mtpStarts[len(c.ids)])
	tensors := []safetensors.Tensor{
		{Name: "input_ids", DType: safetensors.I64, Shape: []int64{rows}},
		{Name: "offsets", DType: safetensors.I64, Shape: []int64{int64(len(info.Texts)) + 1}},
		{Name: "sequences", DType: safetensors.I64, Shape: []int64{int64(len(c.ids)) + 1}},
	}
	ks := map[string]runner.Routed{}
	for _, r := range routed {
		n := rows
		if r.MTP {
			n = mtp
		}
		if n == 0 {
			continue
		}
		x := safetensors.Tensor{Name: fmt.Sprintf(traceRouter, r.Layer), DType: safetensors.I32, Shape: []int64{n, int64(r.TopK)}}
		tensors, ks[x.Name] = append(tensors, x), r
	}
	texts, err := json.Marshal(info.Texts)
	if err != nil {
		return nil, err
	}
	h, head, err := safetensors.NewHeader(tensors, map[string]string{
		"quern_trace": "1", "tool": info.Tool, "model": info.Model, "texts": string(texts), "experts": strconv.Itoa(info.Experts),
	})
	if err != nil {
		return nil, err
	}
	t.head = head
	for _, x := range h.Tensors {
		t.size = h.DataOffset + x.End
		switch x.Name {
		case "input_ids":
			for _, ids := range c.ids {
				for _, id := range ids {
					t.head = appendIntegers(t.head, int64(id))
				}
			}
		case "offsets":
			t.head = appendIntegers(t.head, c.offsets...)
		case "sequences":
			for _, s := range c.starts {
				t.head = appendIntegers(t.head, int64(s))
			}
		default:
			t.at[ks[x.Name].Layer] = place{h.DataOffset + x.Begin, ks[x.Name].TopK}
		}
	}
	return t, nil
}

func (t *trace) partial() string { return t.path + blockio.Partial }

// complete reports whether the finished file is there, of the same texts and model.
func (t *trace) complete() bool { return t.matches(t.path) }

func (t *trace) matches(path string) bool {
	f, err := store.Local(t.fs, filepath.Dir(path)).Open(context.Background(), filepath.Base(path))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	if f.Size() != t.size {
		return false
	}
	got := make([]byte, len(t.head))
	return blockio.ReadFull(f, got, 0) == nil && string(got) == string(t.head)
}

// open begins the file, or goes on with one that an earlier run has left: then it
// reports true. done says that this run had come to its end: the file may then have its
// name.
func (t *trace) open(done bool) (resumed bool, err error) {
	if t == nil {
		return true, nil
	}
	resumed = t.matches(t.partial())
	if !resumed && done && t.complete() {
		return true, nil
	}
	open := t.fs.Create
	if resumed {
		open = t.fs.Append
	}
	if t.file, err = open(t.partial()); err != nil {
		return false, fmt.Errorf("creating %q: %w", t.partial(), err)
	}
	if resumed {
		return true, nil
	}
	if err = t.file.Reserve(t.size); err == nil {
		err = blockio.WriteFull(t.file, t.head, 0)
	}
	if err != nil {
		return false, fmt.Errorf("writing %q: %w", t.partial(), err)
	}
	return false, nil
}

// add writes the choices of tokens from first on.
func (t *trace) add(layer, first int, ids []int32) error {
	p, ok := t.at[layer]
	if !ok {
		return nil
	}
	t.buf = t.buf[:0]
	for _, id := range ids {
		t.buf = binary.LittleEndian.AppendUint32(t.buf, uint32(id))
	}
	if err := blockio.WriteFull(t.file, t.buf, p.at+int64(first)*int64(p.k)*4); err != nil {
		return fmt.Errorf("writing %q: %w", t.partial(), err)
	}
	return nil
}

// sync makes what was written last.
func (t *trace) sync() error {
	if t == nil {
		return nil
	}
	if err := t.file.Sync(); err != nil {
		return fmt.Errorf("syncing %q: %w", t.partial(), err)
	}
	return nil
}

// publish gives the file its name.
func (t *trace) publish() error {
	if t == nil || t.file == nil {
		return nil
	}
	f := t.file
	t.file = nil
	return blockio.Publish(t.fs, f, t.path)
}

// close closes the file, and removes it unless keep is set.
func (t *trace) close(keep bool) {
	if t == nil || t.file == nil {
		return
	}
	if keep {
		_ = t.file.Close()
		return
	}
	blockio.Discard(t.fs, t.file)
}
