package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"quern/convert/manifest"
	"quern/internal/invalid"
	"quern/store"
)

// claim takes a folder for a run: it creates it, takes the lock and reads what an
// earlier, interrupted run of the same plan has finished. The folder must be
// new, empty or this plan's, unless over is set: then what this run writes may
// replace what quern wrote. Nothing in it is changed
// before begin.
func claim(out store.Sink, run *manifest.Manifest, over string, shards, writes []string) (*state, error) {
	if over == "" {
		if err := occupied(out, run, false, false); err != nil {
			return nil, err
		}
	}
	s := &state{out: out, shards: shards, over: over, done: map[string]record{}}
	var err error
	if s.made, err = out.Make(); err != nil {
		return nil, err
	}
	if s.log, err = out.Log(stateName); errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("output folder %q: another quern is writing it", out)
	}
	if err != nil {
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
	case s.log.End() > 0:
		return nil // to go on with
	case s.over != "":
		return s.condemn(writes)
	case other != "":
		return invalid.Errorf("output folder %q holds an unfinished run that differs: %s; finish it with its own command, choose another folder or --overwrite", s.out, other)
	}
	// The folder is nobody's yet, or a run has finished it since we looked.
	return occupied(s.out, run, true, false)
}

// abandon gives up a claim before begin: it leaves the folder as it was.
func (s *state) abandon() {
	if s.log.Size() == 0 {
		_ = s.log.Retire()
	} else {
		_ = s.log.Close()
	}
	if s.made {
		s.out.Unmake()
	}
}

// occupied refuses a folder that holds something else than this plan's output.
// Unless the lock is ours, a state file means that load will compare. A run is one of
// those that share the folder, or not: they do not go together.
func occupied(out store.Sink, run *manifest.Manifest, locked, shares bool) error {
	list, err := out.Names()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, store.ErrNotFolder):
		return invalid.Errorf("output folder %q is not a folder: choose another", out)
	case err != nil:
		return fmt.Errorf("reading output folder %q: %w", out, err)
	}
	started := slices.Index(list, stateName)
	switch {
	case started >= 0 && shares:
		return invalid.Errorf("output folder %q is made by a run without --task: finish it with its own command, or choose another folder", out)
	case started >= 0 && !locked:
		return nil
	case started >= 0:
		list = slices.Delete(list, started, started+1)
	}
	switch old, err := madeThere(out); {
	case err == nil:
		return same(out, old, run)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("output folder %q: %w", out, err)
	}
	if slices.Contains(list, blueprintName) {
		if shares {
			return nil
		}
		return invalid.Errorf("output folder %q is made by tasks: run those that are missing with --task, and merge them, or choose another folder", out)
	}
	for _, n := range list {
		if !unseen(n) && (!shares || !strings.HasPrefix(n, tasksPrefix)) {
			return invalid.Errorf("output folder %q is not empty and not quern's: it holds %q; choose another folder", out, n)
		}
	}
	return nil
}

// unseen reports whether a file is there in folders that count as empty.
func unseen(name string) bool { return name == "lost+found" || name[0] == '.' }

// same is ErrComplete if a folder's manifest is that of a run.
func same(out store.Sink, old, run *manifest.Manifest) error {
	if d := manifest.Difference(old, run); d != "" {
		return invalid.Errorf("output folder %q holds the result of another run: %s; choose another folder or --overwrite", out, d)
	}
	return ErrComplete
}

// maxManifest bounds the manifest of an earlier output: it has some 300 bytes for each
// tensor.
const maxManifest = 1 << 30

// madeThere is the manifest of an output that is complete; without one it is
// fs.ErrNotExist.
func madeThere(out store.Sink) (*manifest.Manifest, error) {
	raw, err := store.ReadFile(context.Background(), out, manifest.Name, maxManifest)
	if err != nil {
		return nil, err
	}
	return manifest.Decode(raw)
}
