package engine

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
)

// Unfinished is a folder whose run was cut, as its state tells.
type Unfinished struct {
	Command  string // that makes it: quantize, convert, shard
	Done, Of int    // files of weights
}

// LookUnfinished reports what dir lacks; nil if no run is under way or was cut there. It
// asks nobody for the lock: a folder that is being written is unfinished too.
func LookUnfinished(dir string) *Unfinished {
	raw, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil {
		return nil
	}
	var u *Unfinished
	for line := range bytes.Lines(raw) {
		var r record
		if json.Unmarshal(line, &r) != nil || (r.Run != nil) != (u == nil) {
			break // torn by a kill
		}
		if u == nil {
			u = &Unfinished{Command: r.Run.Command, Of: len(r.Shards)}
			continue
		}
		u.Done++
	}
	return u
}
