package engine

import (
	"fmt"
	"io"

	"quern/convert/manifest"
	"quern/internal/blake3"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/store"
)

// Contents are told apart by samples: sampleBlocks blocks of sampleBlock bytes, spread
// evenly over what lies behind a file's header, the first and the last of it among
// them; all of it where that is no more. A fine-tune that was saved again has the
// same names, sizes and headers and never the same samples. A change of a few
// tensors of a large file may be missed: what a shard was made from while a run is
// under way is told by stamps.
const (
	sampleBlocks = 64
	sampleBlock  = 16 << 10
)

// Sample is the digest of a file's sampled content: data is where it begins, size
// that of the file.
func Sample(r io.ReaderAt, data, size int64) (string, error) {
	h := blake3.New()
	n := size - data
	blocks := min(ceilDiv(n, sampleBlock), sampleBlocks)
	buf := make([]byte, min(n, sampleBlock))
	for k := range blocks {
		at := k * sampleBlock
		if n > sampleBlocks*sampleBlock {
			// In two steps: the product would overflow for files of 2^57 bytes.
			at = (n-sampleBlock)/(sampleBlocks-1)*k + (n-sampleBlock)%(sampleBlocks-1)*k/(sampleBlocks-1)
		}
		p := buf[:min(sampleBlock, n-at)]
		if err := blockio.ReadFull(r, p, data+at); err != nil {
			return "", err
		}
		h.Write(p)
	}
	return sum(h), nil
}

// content samples input files, weights first, and those beside them if side is set.
func (e *engine) content(files []int, side bool) ([]manifest.Content, error) {
	var list []manifest.Content
	add := func(name string, f store.Object, data, size int64) error {
		digest, err := Sample(f, data, size)
		if err == io.ErrUnexpectedEOF {
			return invalid.Errorf("reading %q: the file became shorter while it was read", f.String())
		}
		if err != nil {
			return fmt.Errorf("reading %q: %w", f.String(), err)
		}
		list = append(list, manifest.Content{Name: name, Sample: digest})
		return nil
	}
	for _, i := range files {
		in := &e.plan.Input.Files[i]
		f, err := e.input(i)
		if err != nil {
			return nil, err
		}
		if err := add(in.Name, f, in.Data, in.Size); err != nil {
			return nil, err
		}
	}
	if !side {
		return list, nil
	}
	for _, side := range e.plan.Input.Side {
		f, err := e.opts.In.Open(e.ctx, side.Name)
		if err != nil {
			return nil, err
		}
		err = add(side.Name, f, 0, side.Size)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// sameContent refuses a finished folder that was made from other contents than the
// input has now.
func (e *engine) sameContent(old *manifest.Manifest) error {
	now, err := e.content(e.allInputs(), true)
	if err != nil {
		return err
	}
	was := make(map[string]string, len(old.Content))
	for _, c := range old.Content {
		was[c.Name] = c.Sample
	}
	for _, c := range now {
		switch s, ok := was[c.Name]; {
		case !ok:
			return invalid.Errorf("output folder %q: its manifest does not tell what %q contained when it was made; verify it against its input, choose another folder, or --overwrite it", e.out, c.Name)
		case s != c.Sample:
			return invalid.Errorf("output folder %q was made from another %q: the file has the same size and header now, and other contents; choose another folder, or --overwrite it", e.out, c.Name)
		}
	}
	return nil
}
