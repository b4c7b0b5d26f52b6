package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"quern/convert/manifest"
	"quern/internal/blockio"
	"quern/internal/invalid"
)

// claim takes dir for a run: it creates it, takes the lock and reads what an
// earlier, interrupted run of the same plan has finished. The folder must be
// new, empty or this plan's, unless over is set: then what this run writes may
// replace what quern wrote. Nothing in it is changed
// before begin.
func claim(fsys blockio.FS, dir string, run *manifest.Manifest, over string, shards, writes []string) (*state, error) {
	if over == "" {
		if err := occupied(dir, run, false); err != nil {
			return nil, err
		}
	}
	s := &state{fs: fsys, dir: dir, shards: shards, over: over, done: map[string]record{}}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		s.made = true
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("creating folder %q: %w", dir, err)
	}
	if err := s.lock(); err != nil {
		return nil, err
	}
	if err := s.look(run, writes); err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

// look finds out, under the lock, what lies in the folder and what becomes of it.
func (s *state) look(run *manifest.Manifest, writes []string) error {
	other, err := s.load(run)
	switch {
	case err != nil:
		return err
	case s.end > 0:
		return nil // to go on with
	case s.over != "":
		return s.condemn(writes)
	case other != "":
		return invalid.Errorf("output folder %q holds an unfinished run that differs: %s; finish it with its own command, choose another folder or --overwrite", s.dir, other)
	}
	// The folder is nobody's yet, or a run has finished it since we looked.
	return occupied(s.dir, run, true)
}

// abandon gives up a claim before begin: it leaves the folder as it was.
func (s *state) abandon() {
	if s.size == 0 {
		_ = s.fs.Retire(s.file)
	} else {
		s.file.Close()
	}
	if s.made {
		_ = s.fs.Remove(s.dir) // fails if someone else uses it by now
	}
}

// occupied refuses a folder that holds something else than this plan's output.
// Unless the lock is ours, a state file means that load will compare.
func occupied(dir string, run *manifest.Manifest, locked bool) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if st, serr := os.Stat(dir); serr == nil && !st.IsDir() {
		return invalid.Errorf("output folder %q is not a folder: choose another", dir)
	}
	if err != nil {
		return fmt.Errorf("reading output folder %q: %w", dir, err)
	}
	started := slices.IndexFunc(list, func(e fs.DirEntry) bool { return e.Name() == stateName })
	switch {
	case started >= 0 && !locked:
		return nil
	case started >= 0:
		list = slices.Delete(list, started, started+1)
	}
	raw, err := os.ReadFile(filepath.Join(dir, manifest.Name))
	switch {
	case err == nil:
		old, err := manifest.Decode(raw)
		if err != nil {
			return fmt.Errorf("output folder %q: %w", dir, err)
		}
		if d := manifest.Difference(old, run); d != "" {
			return invalid.Errorf("output folder %q holds the result of another run: %s; choose another folder or --overwrite", dir, d)
		}
		return ErrComplete
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("output folder %q: %w", dir, err)
	}
	for _, e := range list {
		if n := e.Name(); n != "lost+found" && n[0] != '.' {
			return invalid.Errorf("output folder %q is not empty and not quern's: it holds %q; choose another folder", dir, n)
		}
	}
	return nil
}
