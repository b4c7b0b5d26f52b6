package record

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/store"
	"quern/task"
)

const (
	magic    = "quern verify part 1\n"
	ending   = ".quern-part"
	endName  = "\x00end"
	partName = "\x00part"
)

// Part is what one task of a verification has found.
type Part struct {
	Path     string
	Task     task.Task
	Identity Identity
	Command  json.RawMessage // how the tasks were asked for; the merge does the rest
	Book     *Book
}

// head is the frame called part.
type head struct {
	Task     task.Task       `json:"task"`
	Identity Identity        `json:"identity"`
	Command  json.RawMessage `json:"command"`
}

// PartName is the name of a task's file.
func PartName(k task.Task) string { return fmt.Sprintf("verify-%d-of-%d%s", k.I, k.N, ending) }

// IsPart reports whether a name is one of PartName's.
func IsPart(name string) bool { return strings.HasSuffix(name, ending) }

// WritePart writes the file of a task into a folder. Where the same task has been run
// twice, at once too, the first one's stays.
func WritePart(fsys blockio.FS, dir string, p *Part) error {
	sink, name := store.LocalSink(fsys, dir), PartName(p.Task)
	if _, err := sink.Make(); err != nil {
		return err
	}
	raw, err := json.Marshal(head{p.Task, p.Identity, p.Command})
	if err != nil {
		return err
	}
	host, _ := os.Hostname()
	f, err := sink.Shared(fmt.Sprintf("%s-%d", host, os.Getpid())).Create(context.Background(), name)
	if err != nil {
		return err
	}
	w := &appender{to: f}
	w.write([]byte(magic))
	w.write(appendFrame(nil, partName, raw))
	for _, n := range p.Book.names {
		w.write(appendFrame(nil, n, p.Book.records[n]))
	}
	w.write(appendFrame(nil, endName, fmt.Append(nil, len(p.Book.names))))
	if w.err != nil {
		f.Discard()
		return fmt.Errorf("writing %q: %w", filepath.Join(dir, name), w.err)
	}
	if err := f.Commit(); err != nil && !errors.Is(err, store.ErrDiffers) { // in its times alone
		return err
	}
	return nil
}

type appender struct {
	to  io.WriterAt
	at  int64
	err error
}

func (w *appender) write(p []byte) {
	if w.err == nil {
		w.err = blockio.WriteFull(w.to, p, w.at)
		w.at += int64(len(p))
	}
}

// Look says whether a folder has the file of a task already, and refuses one with parts
// of another verification before any work is done. What is there and not whole goes.
func Look(dir string, k task.Task, id Identity) (done bool, err error) {
	paths, err := Parts(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, store.ErrNotFolder):
		return false, invalid.Errorf("%q is a file, and parts are written into a folder", dir)
	case err != nil:
		return false, err
	}
	for _, path := range paths {
		p, err := ReadPart(path)
		mine := filepath.Base(path) == PartName(k)
		switch {
		case errors.Is(err, errDamaged) && mine:
			err = store.LocalSink(nil, dir).Remove(PartName(k))
		case err == nil && p.Task.N != k.N:
			err = invalid.Errorf("%q is task %s, and this is one of %d: another folder is needed", path, p.Task, k.N)
		case err == nil:
			if d := id.Difference(p.Identity); d != "" {
				err = invalid.Errorf("%q is part of another verification: %s; another folder is needed", path, d)
			}
			done = done || mine
		}
		if err != nil && (mine || !errors.Is(err, errDamaged)) {
			return false, err
		}
	}
	return done, nil
}

// errDamaged is matched by the error of a part that is not whole.
var errDamaged = errors.New("it is damaged or cut; run its task again")

// ReadPart reads the file of a task. What is none, or not whole, matches invalid.Input.
func ReadPart(path string) (*Part, error) {
	o, err := store.OpenFile(context.Background(), path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = o.Close() }()
	begin := make([]byte, len(magic))
	if err := blockio.ReadFull(o, begin, 0); err != nil || !bytes.Equal(begin, []byte(magic)) {
		return nil, invalid.Errorf("reading %q: not what a task of quern verify writes", path)
	}
	damaged := invalid.Errorf("reading %q: %w", path, errDamaged)
	name, data, at, ok := readFrame(o, int64(len(magic)), o.Size())
	var h head
	if !ok || name != partName || json.Unmarshal(data, &h) != nil || h.Task.I < 1 || h.Task.I > h.Task.N || h.Task.N > task.Most {
		return nil, damaged
	}
	p := &Part{Path: path, Task: h.Task, Identity: h.Identity, Command: h.Command, Book: New()}
	for {
		if name, data, at, ok = readFrame(o, at, o.Size()); !ok {
			return nil, damaged
		}
		if name == endName {
			break
		}
		p.Book.add(name, data)
	}
	if at != o.Size() || string(data) != fmt.Sprint(len(p.Book.names)) {
		return nil, damaged
	}
	return p, nil
}

// Parts are the files of tasks in a folder, nil if there is none.
func Parts(dir string) ([]string, error) {
	names, err := store.LocalSink(nil, dir).Names()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range names {
		if IsPart(n) {
			out = append(out, filepath.Join(dir, n))
		}
	}
	return out, nil
}

// Missing is the error of a merge that came before all tasks were done.
type Missing struct {
	Tasks []int
	Of    int
}

func (m *Missing) Error() string { return task.Missing(m.Tasks, m.Of) }

// Merge puts the parts of all tasks together, in whatever order and with tasks that are
// there twice: as one book, and as those of each task. Parts of different verifications
// match invalid.Input, missing ones are [Missing].
func Merge(parts []*Part) (all *Book, each []*Book, err error) {
	first := parts[0]
	each = make([]*Book, first.Task.N)
	all = New()
	for _, p := range parts {
		if p.Task.N != first.Task.N {
			return nil, nil, invalid.Errorf("%q is task %s, and %q is one of %d: parts of different runs", p.Path, p.Task, first.Path, first.Task.N)
		}
		if d := first.Identity.Difference(p.Identity); d != "" {
			return nil, nil, invalid.Errorf("%q is part of another verification than %q: %s", p.Path, first.Path, d)
		}
		if each[p.Task.I-1] == nil {
			each[p.Task.I-1] = p.Book
			all.Take(p.Book)
		}
	}
	m := &Missing{Of: first.Task.N}
	for i, b := range each {
		if b == nil {
			m.Tasks = append(m.Tasks, i+1)
		}
	}
	if len(m.Tasks) > 0 {
		return nil, nil, m
	}
	return all, each, nil
}
