package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"quern/convert/manifest"
	"quern/formats"
	"quern/internal/blockio"
)

// stateName is the file that records finished shards while a run is under way;
// it also carries the lock.
const stateName = "quern-state" + blockio.Partial

// ErrComplete is returned when the folder already holds the finished output of
// the same plan.
var ErrComplete = errors.New("already complete")

// record is a line of the state file. The first names the run, each further
// one a shard that has its final name.
type record struct {
	Run     *manifest.Manifest `json:"run,omitempty"` // without tensors
	Shard   string             `json:"shard,omitempty"`
	Tensors []manifest.Tensor  `json:"tensors,omitempty"`
}

// state is the open state file of this run.
type state struct {
	fs   blockio.FS
	dir  string
	file blockio.File
	end  int64                        // of the lines that count
	size int64                        // of the file when it was locked
	done map[string][]manifest.Tensor // by shard name

	made   bool     // this run has made the folder
	doomed []string // --overwrite: what begin removes, by name in dir
	spare  int64    // bytes of those files
}

// claim takes dir for a run: it creates it, takes the lock and reads what an
// earlier, interrupted run of the same plan has finished. The folder must be
// new, empty or this plan's. Nothing in it is changed before begin.
func claim(fsys blockio.FS, dir string, run *manifest.Manifest, overwrite bool) (*state, error) {
	if !overwrite {
		if err := occupied(dir, run, false); err != nil {
			return nil, err
		}
	}
	s := &state{fs: fsys, dir: dir, done: map[string][]manifest.Tensor{}}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		s.made = true
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("creating folder %q: %w", dir, err)
	}
	if err := s.lock(); err != nil {
		return nil, err
	}
	prepare := func() error {
		if overwrite {
			return s.condemn()
		}
		if err := s.load(run); err != nil || s.end > 0 {
			return err
		}
		// The folder is nobody's yet, or a run has finished it since we looked.
		return occupied(dir, run, true)
	}
	if err := prepare(); err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

// abandon gives up a claim before begin: it leaves the folder as it was.
func (s *state) abandon() {
	if s.size == 0 {
		_ = s.fs.Remove(filepath.Join(s.dir, stateName))
	}
	s.file.Close()
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
		return formats.Invalidf("output folder %q is not a folder: choose another", dir)
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
	if err == nil {
		old, err := manifest.Decode(raw)
		if err != nil {
			return fmt.Errorf("output folder %q: %w", dir, err)
		}
		if d := manifest.Difference(old, run); d != "" {
			return formats.Invalidf("output folder %q holds the result of another run: %s; choose another folder or --overwrite", dir, d)
		}
		return ErrComplete
	}
	for _, e := range list {
		if n := e.Name(); n != "lost+found" && n[0] != '.' {
			return formats.Invalidf("output folder %q is not empty and not quern's: it holds %q; choose another folder or --overwrite", dir, n)
		}
	}
	return nil
}

// lock opens the state file and locks it. A file that was removed between the
// two (its run has just finished) is opened anew.
func (s *state) lock() error {
	name := filepath.Join(s.dir, stateName)
	for range 10 {
		f, err := s.fs.Append(name)
		if err != nil {
			return fmt.Errorf("opening %q: %w", name, err)
		}
		if err := f.Lock(); err != nil {
			f.Close()
			if errors.Is(err, blockio.ErrLocked) {
				return fmt.Errorf("output folder %q: another quern is writing it", s.dir)
			}
			return fmt.Errorf("locking %q: %w", name, err)
		}
		mine, err1 := f.Stat()
		there, err2 := os.Stat(name)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			s.file, s.size = f, mine.Size()
			return nil
		}
		f.Close()
		if err1 != nil {
			return fmt.Errorf("reading %q: %w", name, err1)
		}
	}
	return fmt.Errorf("locking %q: the file keeps changing", name)
}

// load reads the finished shards. A torn last line is the trace of a kill; it
// and what follows it do not count.
func (s *state) load(run *manifest.Manifest) error {
	name := filepath.Join(s.dir, stateName)
	if s.size == 0 {
		return nil
	}
	raw := make([]byte, s.size)
	if err := blockio.ReadFull(s.file, raw, 0); err != nil {
		return fmt.Errorf("reading %q: %w", name, err)
	}
	first := true
	for {
		line, rest, ok := bytes.Cut(raw, []byte("\n"))
		if !ok {
			break
		}
		var r record
		if json.Unmarshal(line, &r) != nil || first != (r.Run != nil) {
			break
		}
		if first {
			if d := manifest.Difference(r.Run, run); d != "" {
				return formats.Invalidf("output folder %q holds an unfinished run that differs: %s; finish it with its own command, choose another folder or --overwrite", s.dir, d)
			}
			first = false
		} else {
			s.done[r.Shard] = r.Tensors
		}
		s.end += int64(len(line)) + 1
		raw = rest
	}
	return nil
}

// begin makes the folder this run's. For --overwrite it first removes the
// earlier output.
func (s *state) begin(run *manifest.Manifest) error {
	name := filepath.Join(s.dir, stateName)
	if err := s.file.Truncate(s.end); err != nil {
		return fmt.Errorf("truncating %q: %w", name, err)
	}
	for _, n := range s.doomed {
		if err := s.fs.Remove(filepath.Join(s.dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing %q: %w", filepath.Join(s.dir, n), err)
		}
	}
	if s.end > 0 {
		return nil
	}
	return s.append(record{Run: run})
}

// append adds a line, durably.
func (s *state) append(r record) error {
	name := filepath.Join(s.dir, stateName)
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if err := blockio.WriteFull(s.file, line, s.end); err != nil {
		return fmt.Errorf("writing %q: %w", name, err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("syncing %q: %w", name, err)
	}
	s.end += int64(len(line))
	return nil
}

// finish removes the state file: the folder is complete.
func (s *state) finish() error {
	name := filepath.Join(s.dir, stateName)
	if err := s.fs.Remove(name); err != nil {
		return fmt.Errorf("removing %q: %w", name, err)
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return fmt.Errorf("syncing folder %q: %w", s.dir, err)
	}
	s.file.Close() // the file is gone: nothing depends on it
	return nil
}
