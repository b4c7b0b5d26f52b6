package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/internal/invalid"
	"quern/store"
)

// blueprintName is the file of a folder that tasks share: it says what they make.
const blueprintName = tasksPrefix + "s" + store.Partial

// blueprint is what a merge has to know, so that it needs neither the input nor the
// command line. The first task to begin writes it; the others compare.
type blueprint struct {
	Run    *manifest.Manifest `json:"run"` // without tensors
	Tasks  int                `json:"tasks"`
	Config string             `json:"config,omitempty"` // of the output
	Readme *readme            `json:"readme,omitempty"`
	Beside []plan.File        `json:"beside,omitempty"` // made, not copied
	Shards []outline          `json:"shards"`
}

// outline is a file of weights before it is filled.
type outline struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"` // bytes
	Header []byte `json:"header"`
}

func (e *engine) blueprint(ctx context.Context) (*blueprint, error) {
	readme, err := e.readme(ctx)
	if err != nil {
		return nil, err
	}
	b := &blueprint{Run: e.run, Tasks: e.opts.Task.N, Config: e.plan.Config, Readme: readme, Beside: e.plan.Beside}
	for i := range e.plan.Shards {
		s := &e.plan.Shards[i]
		b.Shards = append(b.Shards, outline{s.Name, s.Size, s.Header})
	}
	return b, nil
}

// sizes are those of the files, by which they are divided among tasks.
func (b *blueprint) sizes() []int64 {
	list := make([]int64, len(b.Shards))
	for i := range b.Shards {
		list[i] = b.Shards[i].Size
	}
	return list
}

// maxBlueprint bounds it: it has the headers of all files.
const maxBlueprint = 1 << 30

// readBlueprint is nil where no task has begun.
func readBlueprint(ctx context.Context, out store.Sink) (*blueprint, error) {
	raw, err := store.ReadFile(ctx, out, blueprintName, maxBlueprint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b := &blueprint{}
	if err := json.Unmarshal(raw, b); err != nil || b.Run == nil || b.Tasks < 1 {
		return nil, invalid.Errorf("reading %q: this is not what quern's tasks have written: remove the folder and begin anew", store.Path(out, blueprintName))
	}
	return b, nil
}

// admit refuses tasks of another conversion, or of another number.
func (b *blueprint) admit(out store.Sink, own *blueprint) error {
	if d := manifest.Difference(b.Run, own.Run); d != "" {
		return invalid.Errorf("output folder %q is made by the tasks of another run: %s; give all tasks the same command line, or choose another folder", out, d)
	}
	if b.Tasks != own.Tasks {
		return invalid.Errorf("output folder %q is made by %d tasks, this is one of %d: give all the same number, or choose another folder", out, b.Tasks, own.Tasks)
	}
	return nil
}

// settle makes the folder that of own's tasks, whoever is first.
func (own *blueprint) settle(ctx context.Context, out store.Sink) error {
	var raw bytes.Buffer
	if err := json.NewEncoder(&raw).Encode(own); err != nil {
		return err
	}
	err := store.WriteFile(ctx, out, blueprintName, raw.Bytes())
	if !errors.Is(err, store.ErrDiffers) {
		return err
	}
	b, rerr := readBlueprint(ctx, out)
	if rerr != nil {
		return rerr
	}
	if b != nil {
		if err := b.admit(out, own); err != nil {
			return err
		}
	}
	return fmt.Errorf("output folder %q: %w", out, err)
}
