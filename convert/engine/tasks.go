package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"quern/convert/manifest"
	"quern/store"
	"quern/task"
)

// Tasks of one conversion, on many machines, fill one folder. Each process has a log of
// its own there, and what it has begun has names of its own: nothing is locked. All that
// the logs say together is the state. The folder is complete when Merge has written the
// index, config and manifest that one process writes last.

// tasksPrefix begins the names of all files that tasks have beside the output.
const tasksPrefix = "quern-task"

// logName is the log of a process of task i.
func logName(i int, id string) string {
	return fmt.Sprintf("%s-%d.%s%s", tasksPrefix, i, id, store.Partial)
}

// logOf takes logName apart.
func logOf(name string) (i int, id string, ok bool) {
	name, a := strings.CutPrefix(name, tasksPrefix+"-")
	name, b := strings.CutSuffix(name, store.Partial)
	number, id, c := strings.Cut(name, ".")
	i, err := strconv.Atoi(number)
	return i, id, a && b && c && err == nil && id != ""
}

// unique names this process among all that write a folder: the machine and the process
// for people, the rest because containers share both.
func unique() string {
	host, _ := os.Hostname()
	host = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, host)
	return fmt.Sprintf("%.40s-%d-%08x", host, os.Getpid(), rand.Uint32())
}

// share is the range of the plan's files that this run makes.
func (e *engine) share() (first, last int) {
	sizes := make([]int64, len(e.plan.Shards))
	for i := range e.plan.Shards {
		sizes[i] = e.plan.Shards[i].Size
	}
	return e.opts.Task.Of(sizes)
}

// leads reports whether this run writes what belongs to no file of weights: the only
// one, or the first task.
func (e *engine) leads() bool { return e.opts.Task.Whole() || e.opts.Task.I == 1 }

// join takes a place in a folder that tasks share. Nothing of the output is written
// before begin.
func (e *engine) join(ctx context.Context) (*state, error) {
	err := occupied(e.out, e.run, false, true)
	if errors.Is(err, ErrComplete) {
		return nil, err
	}
	own, rerr := e.blueprint(ctx)
	if rerr != nil {
		return nil, rerr
	}
	b, berr := readBlueprint(ctx, e.out)
	switch {
	case b == nil && err != nil: // with b others have begun while we looked
		return nil, err
	case berr != nil:
		return nil, berr
	case b != nil:
		if err := b.admit(e.out, own); err != nil {
			return nil, err
		}
		own = nil
	}
	s := &state{out: e.out, shards: e.shardNames(), done: map[string]record{}, blueprint: own}
	if s.made, err = e.out.Make(); err != nil {
		return nil, err
	}
	logs, err := readLogs(ctx, e.out)
	if err != nil {
		return nil, err
	}
	for _, l := range logs {
		for _, r := range l.records {
			s.note(r)
		}
	}
	if err := e.tidy(logs); err != nil {
		return nil, err
	}
	if s.log, err = e.out.Log(logName(e.opts.Task.I, e.id)); err != nil {
		return nil, err
	}
	return s, nil
}

// tidy removes what killed processes of this task had begun: as many files as a run
// fills at once, for each of them. Whose log is locked lives; should a file system say
// so of none, the other process finds its file gone, and is tried again.
func (e *engine) tidy(logs []taskLog) error {
	if len(logs) == 0 {
		return nil
	}
	names, err := e.out.Names()
	if err != nil {
		return fmt.Errorf("reading output folder %q: %w", e.out, err)
	}
	for _, l := range logs {
		of := left(names, l.id)
		if l.task != e.opts.Task.I || len(of) == 0 {
			continue
		}
		lock, err := e.out.Log(logName(l.task, l.id))
		if err != nil {
			continue
		}
		_ = lock.Close()
		for _, n := range of {
			if err := e.out.Remove(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// merged is ErrComplete if the folder has been merged already.
func merged(out store.Sink, run *manifest.Manifest) error {
	switch old, err := madeThere(out); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("output folder %q: %w", out, err)
	default:
		return same(out, old, run)
	}
}

// hand ends a task: it tells what the input contained, so that the merge need not
// read it, and the first one copies the files beside the weights.
func (e *engine) hand(ctx context.Context) error {
	files := e.allInputs()
	if !e.leads() {
		files = slices.DeleteFunc(files, func(i int) bool { return e.inputs[i] == nil })
	}
	content, err := e.content(files, e.leads())
	if err != nil {
		return err
	}
	if err := e.unchanged(files); err != nil {
		return err
	}
	if e.leads() {
		if err := e.copySides(ctx); err != nil {
			return err
		}
	}
	e.stateMu.Lock()
	defer e.stateMu.Unlock()
	if err := e.state.append(record{Whole: true, Content: content, Beat: e.pulse(nil)}); err != nil {
		return err
	}
	return e.state.log.Close()
}

// beat says how far a process has come.
type beat struct {
	At     int64  `json:"at"`   // seconds since 1970
	From   int64  `json:"from"` // when it began
	Done   int64  `json:"done"` // bytes of input, of which Total are to be read
	Total  int64  `json:"total"`
	Failed string `json:"failed,omitempty"` // the error that ended it
}

func (e *engine) pulse(err error) *beat {
	b := &beat{At: time.Now().Unix(), From: e.began.Unix(), Done: e.done.Load(), Total: e.total}
	if err != nil {
		b.Failed = err.Error()
	}
	return b
}

// beats is how often a process tells that it is alive.
const beats = 10 * time.Second

// alive does the work of a run. A task tells all the while how far it is; where that
// cannot be written the work itself will find out.
func (e *engine) alive(work func() error) error {
	if e.opts.Task.Whole() {
		return work()
	}
	tell := func() {
		e.stateMu.Lock()
		defer e.stateMu.Unlock()
		_ = e.state.append(record{Beat: e.pulse(nil)})
	}
	tell()
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(beats)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				tell()
			case <-end:
				return
			}
		}
	}()
	err := work()
	close(end)
	<-done
	return err
}

// fail tells why a task has ended.
func (e *engine) fail(err error) {
	if !e.opts.Task.Whole() && !e.began.IsZero() {
		_ = e.state.append(record{Beat: e.pulse(err)})
	}
}

// taskLog is what a process of a task has written.
type taskLog struct {
	task    int
	id      string
	records []record // without the first
}

// readLogs reads the logs of all processes, by name.
func readLogs(ctx context.Context, out store.Sink) ([]taskLog, error) {
	names, err := out.Names()
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a store without folders has none yet
		return nil, fmt.Errorf("reading output folder %q: %w", out, err)
	}
	var logs []taskLog
	for _, n := range names {
		i, id, ok := logOf(n)
		if !ok {
			continue
		}
		raw, err := store.ReadSoFar(ctx, out, n, maxManifest)
		for tries := 0; errors.Is(err, store.ErrChanged) && tries < 3; tries++ { // its process is at work, or gives it up
			raw, err = store.ReadSoFar(ctx, out, n, maxManifest)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was given up meanwhile
		}
		if err != nil {
			return nil, err
		}
		list, _ := records(raw)
		l := taskLog{task: i, id: id}
		if len(list) > 0 {
			l.records = list[1:]
		}
		logs = append(logs, l)
	}
	return logs, nil
}

// of are the files of a task.
func (b *blueprint) of(i int) []outline {
	first, last := (task.Task{I: i, N: b.Tasks}).Of(b.sizes())
	return b.Shards[first:last]
}
