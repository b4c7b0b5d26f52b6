package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"quern/convert/manifest"
	"quern/internal/blockio"
	"quern/store"
)

// stateName is the file that records finished shards while a run is under way;
// it also carries the lock.
const stateName = "quern-state" + store.Partial

// ErrComplete is returned when the folder already holds the finished output of
// the same plan.
var ErrComplete = errors.New("already complete")

// record is a line of the state file. The first names the run, each further
// one a shard that has its final name.
type record struct {
	Run    *manifest.Manifest `json:"run,omitempty"`    // without tensors
	Over   string             `json:"over,omitempty"`   // begun by --overwrite: the stamp of its input
	Shards []string           `json:"shards,omitempty"` // with Run: the names of all
	Doomed []string           `json:"doomed,omitempty"` // with Run: files of an earlier output that go first
	Shard  string             `json:"shard,omitempty"`
	// From has the stamps of the input files that the shard was made from.
	From    map[string]store.Stamp `json:"from,omitempty"`
	Tensors []manifest.Tensor      `json:"tensors,omitempty"`
	// Surveys, instead of Shard, are largest magnitudes that were found in the files
	// of From.
	Surveys map[string]float32 `json:"surveys,omitempty"`

	// Of tasks.
	Beat    *beat              `json:"beat,omitempty"`
	Whole   bool               `json:"whole,omitempty"`   // the task has come to its end
	Content []manifest.Content `json:"content,omitempty"` // with Whole: what it has read
}

// state is the open state file of this run.
type state struct {
	out  store.Sink
	log  store.Log
	done map[string]record // of finished shards, by name

	surveys []record // what was found before codings

	shards []string // the names of all shards of this run
	over   string   // --overwrite: the stamp of the input, else ""
	made   bool     // this run has made the folder
	doomed []string // --overwrite: what begin removes, by name in the folder
	spare  int64    // bytes of those files

	blueprint *blueprint // of a task: what begin writes, unless it was there

	old        *record           // the first line of another run's state
	oldTensors []manifest.Tensor // of the shards that it has finished
}

// load reads the finished shards. Of another run it says the difference and
// takes nothing. A run with --overwrite goes on only with what the same command
// has begun on the same input: it is also how people start anew.
func (s *state) load(run *manifest.Manifest) (other string, err error) {
	raw := make([]byte, s.log.Size())
	if len(raw) == 0 {
		return "", nil
	}
	if err := blockio.ReadFull(s.log, raw, 0); err != nil {
		return "", fmt.Errorf("reading %q: %w", s.log, err)
	}
	list, end := records(raw)
	if len(list) == 0 {
		return "", nil
	}
	head := list[0]
	if other = manifest.Difference(head.Run, run); other == "" && s.over != "" && head.Over != s.over {
		other = "it was begun without --overwrite, or its input was written to since"
	}
	if other != "" {
		s.old = &head
	}
	for _, r := range list[1:] {
		if s.old != nil {
			s.oldTensors = append(s.oldTensors, r.Tensors...)
		} else {
			s.note(r)
		}
	}
	if s.old != nil {
		return other, nil
	}
	s.log.Keep(end)
	// A kill may have come before all of them were gone.
	for _, name := range head.Doomed {
		if _, made := s.done[name]; !made {
			s.doom(name)
		}
	}
	return "", nil
}

// records takes a state file apart, and says where what counts ends: what a kill has
// torn, and what follows it, does not.
func records(raw []byte) (list []record, end int64) {
	for {
		line, rest, ok := bytes.Cut(raw, []byte("\n"))
		if !ok {
			return list, end
		}
		var r record
		if json.Unmarshal(line, &r) != nil || (len(list) == 0) != (r.Run != nil) {
			return list, end
		}
		list = append(list, r)
		end += int64(len(line)) + 1
		raw = rest
	}
}

// note takes what a record tells of this run.
func (s *state) note(r record) {
	switch {
	case r.Surveys != nil:
		s.surveys = append(s.surveys, r)
	case r.Shard != "":
		s.done[r.Shard] = r
	}
}

// oldDoomed are the files that another run has begun to remove.
func (s *state) oldDoomed() []string {
	made := map[string]bool{}
	for _, t := range s.oldTensors {
		made[t.File] = true
	}
	return slices.DeleteFunc(slices.Clone(s.old.Doomed), func(n string) bool { return made[n] })
}

// begin makes the folder this run's. For --overwrite it then removes the earlier
// output: the state names it, so that a kill leaves nothing that nobody knows.
func (s *state) begin(ctx context.Context, run *manifest.Manifest) error {
	if s.blueprint != nil {
		if err := s.blueprint.settle(ctx, s.out); err != nil {
			s.abandon()
			return err
		}
	}
	if s.log.End() == 0 {
		// Over what another run has left there, whose names are in Doomed now.
		if err := s.append(record{Run: run, Over: s.over, Shards: s.shards, Doomed: s.doomed}); err != nil {
			return err
		}
	}
	if err := s.log.Cut(); err != nil {
		return err
	}
	for _, n := range s.doomed {
		if err := s.out.Remove(filepath.ToSlash(n)); err != nil {
			return err
		}
	}
	return nil
}

// append adds a line, durably.
func (s *state) append(r record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := s.log.Append(append(line, '\n')); err != nil {
		return err
	}
	return s.log.Sync()
}

// finish removes the state file: the folder is complete.
func (s *state) finish() error {
	if err := s.log.Retire(); err != nil {
		return err
	}
	return s.out.Sync()
}
