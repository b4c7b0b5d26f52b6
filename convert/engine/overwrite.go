package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"quern/convert/manifest"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/internal/blake3"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/store"
)

// over is what identifies a run with --overwrite beside its plan: the state of
// its input files, so that one that was repaired starts anew. It is empty
// without --overwrite.
func (e *engine) over() string {
	if !e.opts.Overwrite {
		return ""
	}
	h := blake3.New()
	for _, s := range e.opts.Sources {
		fmt.Fprintf(h, "%d %s\n", s.Size, s.Stamp)
	}
	return sum(h)
}

// condemn lists what --overwrite removes: the files that a manifest or a state in the
// folder says quern has written, if they are still those, and nothing else. What this
// run would write over a file of somebody else's is refused. The manifest goes first:
// without it what remains is nobody's output.
func (s *state) condemn(writes []string) error {
	m, err := madeThere(s.out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, invalid.Input):
		return invalid.Errorf("output folder %q: %w; choose another folder", s.out, err)
	case err != nil:
		return fmt.Errorf("output folder %q: %w", s.out, err)
	default:
		if err := s.output(m, m.Tensors, nil); err != nil {
			return err
		}
	}
	if old := s.old; old != nil {
		if err := s.output(old.Run, s.oldTensors, old.Shards); err != nil {
			return err
		}
		for _, name := range s.oldDoomed() {
			s.doom(name)
		}
	}
	return s.collides(writes)
}

// output dooms the files of a run: those that hold its tensors, shards that it may
// have begun, and what goes with them.
func (s *state) output(run *manifest.Manifest, tensors []manifest.Tensor, begun []string) error {
	byFile := map[string][]manifest.Tensor{}
	for _, t := range tensors {
		byFile[t.File] = append(byFile[t.File], t)
	}
	names := []string{manifest.Name}
	for name, list := range byFile {
		switch as, err := s.asWritten(name, list); {
		case err != nil:
			return err
		case !as:
			return invalid.Errorf("output folder %q: quern has written a file %q there, but what lies there now is another: it is not quern's to remove; choose another folder, or move it away", s.out, name)
		}
		names = append(names, name)
	}
	names = append(names, begun...)
	if len(byFile) > 1 || len(begun) > 1 {
		names = append(names, hf.IndexName)
	}
	if run.Input.Config != "" {
		names = append(names, hf.ConfigName)
	}
	for _, n := range append(names, sideFiles(run)...) {
		s.doom(n)
		s.doom(n + store.Partial)
	}
	return nil
}

// asWritten reports whether a file of weights holds what quern has put into it: the
// same tensors, and the bytes of the smallest one. One that is gone does.
func (s *state) asWritten(name string, tensors []manifest.Tensor) (bool, error) {
	if !local(name) {
		return false, nil
	}
	f, err := s.out.Open(context.Background(), name)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	h, err := safetensors.ReadHeader(f, f.Size(), safetensors.Limits{})
	if err != nil || len(h.Tensors) != len(tensors) {
		return false, nil
	}
	want := make(map[string]manifest.Tensor, len(tensors))
	for _, t := range tensors {
		want[t.Name] = t
	}
	var least *safetensors.Tensor
	for i := range h.Tensors {
		t := &h.Tensors[i]
		if w, ok := want[t.Name]; !ok || w.DType != t.DType || !slices.Equal(w.Shape, t.Shape) {
			return false, nil
		}
		if n := t.Bytes(); n > 0 && (least == nil || n < least.Bytes()) {
			least = t
		}
	}
	if least == nil {
		return true, nil
	}
	raw := make([]byte, least.Bytes())
	if err := blockio.ReadFull(f, raw, h.DataOffset+least.Begin); err != nil {
		return false, fmt.Errorf("reading %q: %w", f, err)
	}
	digest := blake3.Sum256(raw)
	return hex.EncodeToString(digest[:]) == want[least.Name].BLAKE3, nil
}

// collides refuses a run that would write over what it does not remove first.
func (s *state) collides(writes []string) error {
	for _, name := range writes {
		if link := s.linkAbove(name); link != "" {
			return invalid.Errorf("output folder %q: %q is a link: quern writes %q into folders only", s.out, link, name)
		}
		_, err := s.out.Look(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) || slices.Contains(s.doomed, filepath.FromSlash(name)):
			continue
		case err != nil:
			return fmt.Errorf("output folder %q: %w", s.out, err)
		}
		swapped := ""
		if _, err := s.out.Look(hf.ConfigName); err == nil {
			swapped = " (it looks like a checkpoint: are IN and OUT swapped?)"
		}
		return invalid.Errorf("output folder %q holds %q, which quern has not written and does not replace%s; choose another folder", s.out, name, swapped)
	}
	return nil
}

// linkAbove is the first folder on the way from dir to name that is a link, or "".
func (s *state) linkAbove(name string) string {
	at := ""
	for part := range strings.SplitSeq(path.Dir(filepath.ToSlash(name)), "/") {
		at = path.Join(at, part)
		if e, err := s.out.Look(at); err == nil && e.Mode&fs.ModeSymlink != 0 {
			return at
		}
	}
	return ""
}

// local reports whether a name that comes from a manifest lies in its folder and is
// no file of this run's.
func local(name string) bool {
	n := filepath.FromSlash(name)
	return filepath.IsLocal(n) && !strings.EqualFold(n, stateName)
}

// sideFiles are the files that m's run has copied or made beside the shards.
func sideFiles(m *manifest.Manifest) []string {
	all := slices.Clone(m.Beside)
	for _, f := range m.Input.Side {
		all = append(all, f.Name)
	}
	return all
}

// doom marks a file for removal, if it is there: the name itself, never what a link
// leads to. A manifest may come from anywhere, and names nothing outside its folder.
func (s *state) doom(name string) {
	n := filepath.FromSlash(name)
	if !local(name) || s.linkAbove(name) != "" || slices.Contains(s.doomed, n) {
		return
	}
	e, err := s.out.Look(filepath.ToSlash(n))
	if err != nil || e.Mode.IsDir() {
		return
	}
	s.doomed = append(s.doomed, n)
	s.spare += e.Size
}
