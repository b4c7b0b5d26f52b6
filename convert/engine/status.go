package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"quern/convert/manifest"
	"quern/store"
)

// silent is after how long without a word a process counts as gone: a machine that
// waits for a slow disk says nothing for a while, and clocks differ.
const silent = 6 * beats

// Stage is how far a task is.
type Stage string

// The stages.
const (
	Done    Stage = "done"
	Running Stage = "running"
	Failed  Stage = "failed"  // it has ended with an error, or been silent for a minute
	Waiting Stage = "waiting" // no process has begun it
)

// TaskStatus is what is known of a task.
type TaskStatus struct {
	Task      int     `json:"task"`
	Stage     Stage   `json:"stage"`
	Files     int     `json:"files"` // of weights, of which Finished are there
	Finished  int     `json:"finished"`
	Bytes     int64   `json:"bytes"` // of those files
	Written   int64   `json:"written"`
	Processes int     `json:"processes"` // that have worked on it
	Error     string  `json:"error,omitempty"`
	Left      float64 `json:"seconds_left,omitempty"` // of one that is running
}

// Status is what is known of all tasks of a folder.
type Status struct {
	Merged  bool          `json:"merged"`
	Command string        `json:"command"`
	Count   map[Stage]int `json:"count"`
	Bytes   int64         `json:"bytes"` // of all files of weights
	Written int64         `json:"written"`
	// Left is an estimate in seconds until all are done, with as many running as now;
	// nil where none is, or nothing is known yet.
	Left  *float64     `json:"seconds_left"`
	Tasks []TaskStatus `json:"tasks"`
}

// LookStatus reads what the tasks of a folder tell. It is *Missing where none has begun.
func LookStatus(ctx context.Context, out store.Sink, now time.Time) (*Status, error) {
	b, err := readBlueprint(ctx, out)
	if err != nil {
		return nil, notFolder(out, err)
	}
	if b == nil {
		err := unshared(out)
		if !errors.Is(err, ErrComplete) {
			return nil, err
		}
		m, err := madeThere(out)
		if err != nil {
			return nil, fmt.Errorf("output folder %q: %w", out, err)
		}
		return &Status{Merged: true, Command: m.Command, Count: map[Stage]int{}, Tasks: []TaskStatus{}}, nil
	}
	logs, c, err := b.told(ctx, out)
	if err != nil {
		return nil, err
	}
	s := &Status{Command: b.Run.Command, Count: map[Stage]int{}, Tasks: []TaskStatus{}}
	if _, err := out.Look(manifest.Name); err == nil {
		s.Merged = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	rate := 0.0 // bytes of files a second, of all that run
	for i := 1; i <= b.Tasks; i++ {
		t := b.taskStatus(i, c, logs, now)
		t.Stage = stage(&t, b.there(ctx, out, c, i))
		if t.Stage == Running && t.Left > 0 {
			rate += float64(t.Bytes-t.Written) / t.Left
		}
		if t.Stage != Running {
			t.Left = 0
		}
		if t.Stage == Done {
			t.Error = ""
		}
		s.Count[t.Stage]++
		s.Bytes += t.Bytes
		s.Written += t.Written
		s.Tasks = append(s.Tasks, t)
	}
	if rate > 0 {
		left := float64(s.Bytes-s.Written) / rate
		for i := range s.Tasks {
			left = max(left, s.Tasks[i].Left)
		}
		s.Left = &left
	}
	return s, nil
}

func stage(t *TaskStatus, there bool) Stage {
	switch {
	case there:
		return Done
	case t.Processes == 0:
		return Waiting
	case t.Error != "":
		return Failed
	}
	return Running
}

// taskStatus is what the logs say of a task; Error is that of its last process.
func (b *blueprint) taskStatus(i int, c *collected, logs []taskLog, now time.Time) TaskStatus {
	t := TaskStatus{Task: i}
	for _, f := range b.of(i) {
		t.Files++
		t.Bytes += f.Size
		if _, ok := c.done[f.Name]; ok {
			t.Finished++
			t.Written += f.Size
		}
	}
	var last *beat
	for _, l := range logs {
		if l.task != i {
			continue
		}
		t.Processes++
		for _, r := range l.records {
			if r.Beat != nil && (last == nil || r.Beat.At >= last.At) {
				last = r.Beat
			}
		}
	}
	switch {
	case last == nil:
	case last.Failed != "":
		t.Error = last.Failed
	case now.Sub(time.Unix(last.At, 0)) > silent:
		t.Error = fmt.Sprintf("not a word for %s: it was killed, or its machine is gone", now.Sub(time.Unix(last.At, 0)).Truncate(time.Second))
	case last.Done > 0:
		t.Left = float64(last.Total-last.Done) / float64(last.Done) * float64(max(last.At-last.From, 1))
	}
	return t
}
