package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"quern/convert/manifest"
	"quern/store"
)

// Standing is how far the run has come that makes a folder.
type Standing struct {
	Complete bool   // its manifest is there
	Command  string // that makes it: quantize, convert, shard
	Done, Of int    // files of weights
}

// maxState bounds a state: some 300 bytes a tensor, of a million.
const maxState = 512 << 20

// Look tells how a folder of this machine stands; nil if no run has left anything there.
// It asks nobody for the lock: a folder that is being written is unfinished too.
func Look(ctx context.Context, location string) *Standing {
	if strings.Contains(location, "://") {
		return nil
	}
	folder, _, err := store.Open(ctx, location)
	if err != nil {
		return nil
	}
	if o, err := folder.Open(ctx, manifest.Name); err == nil {
		_ = o.Close()
		return &Standing{Complete: true}
	}
	raw, err := store.ReadFile(ctx, folder, stateName, maxState)
	if err != nil {
		return nil
	}
	var s *Standing
	for line := range bytes.Lines(raw) {
		var r record
		if json.Unmarshal(line, &r) != nil || (r.Run != nil) != (s == nil) {
			break // torn by a kill
		}
		switch {
		case s == nil:
			s = &Standing{Command: r.Run.Command, Of: len(r.Shards)}
		case r.Shard != "":
			s.Done++
		}
	}
	return s
}
