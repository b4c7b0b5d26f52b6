package engine

import (
	"context"
	"errors"
	"io/fs"

	"quern/convert/manifest"
	"quern/store"
)

// Standing is how far the run has come that makes a folder.
type Standing struct {
	Complete bool   // its manifest is there
	Command  string // that makes it: quantize, convert, shard
	Done, Of int    // files of weights
	Tasks    int    // that share the folder; 0: one run makes all
}

// maxState bounds a state: some 300 bytes a tensor, of a million.
const maxState = 512 << 20

// Look tells how a folder stands that can be written to; nil if no run has left anything
// there, or if it cannot be told. It asks nobody for the lock: a folder that is being
// written is unfinished too.
func Look(ctx context.Context, location string) *Standing {
	out, err := store.OpenSink(location)
	if err != nil {
		return nil
	}
	o, err := out.Open(ctx, manifest.Name)
	if err == nil {
		_ = o.Close()
		return &Standing{Complete: true}
	}
	if !errors.Is(err, fs.ErrNotExist) { // a store that does not answer is not asked again
		return nil
	}
	if s := lookTasks(ctx, out); s != nil {
		return s
	}
	raw, err := store.ReadFile(ctx, out, stateName, maxState)
	if err != nil {
		return nil
	}
	list, _ := records(raw)
	if len(list) == 0 {
		return nil
	}
	s := &Standing{Command: list[0].Run.Command, Of: len(list[0].Shards)}
	for _, r := range list[1:] {
		if r.Shard != "" {
			s.Done++
		}
	}
	return s
}

// lookTasks is Look for folders that tasks share.
func lookTasks(ctx context.Context, out store.Sink) *Standing {
	b, err := readBlueprint(ctx, out)
	if err != nil || b == nil {
		return nil
	}
	s := &Standing{Command: b.Run.Command, Of: len(b.Shards), Tasks: b.Tasks}
	if logs, err := readLogs(ctx, out); err == nil {
		if c, err := b.collect(logs); err == nil {
			s.Done = len(c.done)
		}
	}
	return s
}
