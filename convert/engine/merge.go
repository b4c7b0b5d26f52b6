package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"

	"quern/convert/manifest"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/store"
	"quern/task"
)

// Missing is the error of a merge that came before all tasks were done.
type Missing struct {
	Out   string
	Tasks []int // none: no task has begun
	Of    int
}

func (m *Missing) Error() string {
	if m.Of == 0 {
		return fmt.Sprintf("output folder %q: no task has begun", m.Out)
	}
	return fmt.Sprintf("output folder %q: %s", m.Out, task.Missing(m.Tasks, m.Of))
}

// mergeLock keeps a second merge out; what the first has begun holds mergeID.
const (
	mergeLock = tasksPrefix + "s-merge" + store.Partial
	mergeID   = "merge"
)

// Merge makes the folder that tasks have filled the one that a single run leaves. It
// is ErrComplete if that has been done, and *Missing if tasks are. It reads what they
// have told and the headers of their files; verify reads all.
func Merge(ctx context.Context, out store.Sink) (*manifest.Manifest, error) {
	b, err := readBlueprint(ctx, out)
	if err != nil {
		return nil, notFolder(out, err)
	}
	if b == nil {
		return nil, unshared(out)
	}
	lock, err := out.Log(mergeLock)
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("output folder %q: another merge is under way", out)
	}
	if err != nil {
		return nil, err
	}
	m, err := b.merge(ctx, out.Shared(mergeID))
	if rerr := lock.Retire(); err == nil {
		err = rerr
	}
	return m, err
}

// notFolder says what a file is in the place of a folder.
func notFolder(out store.Sink, err error) error {
	if _, nerr := out.Names(); errors.Is(nerr, store.ErrNotFolder) {
		return invalid.Errorf("output folder %q is not a folder", out)
	}
	return err
}

// unshared says what a folder is that no tasks share.
func unshared(out store.Sink) error {
	names, err := out.Names()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Missing{Out: out.String()}
	case errors.Is(err, store.ErrNotFolder):
		return invalid.Errorf("output folder %q is not a folder", out)
	case err != nil:
		return fmt.Errorf("reading output folder %q: %w", out, err)
	case slices.Contains(names, stateName):
		return invalid.Errorf("output folder %q is made by a run without --task: the same command goes on", out)
	case slices.Contains(names, manifest.Name):
		if slices.Contains(names, mergeLock) { // cut at its very end, or still at it
			if lock, err := out.Log(mergeLock); err == nil {
				_ = lock.Retire()
			}
		}
		return ErrComplete
	}
	for _, n := range names {
		if !unseen(n) && !strings.HasPrefix(n, tasksPrefix) {
			return invalid.Errorf("output folder %q was not made by tasks: it holds %q", out, n)
		}
	}
	return &Missing{Out: out.String()}
}

// merge writes what is missing in the folder, the manifest last, and removes what the
// tasks had beside the output.
func (b *blueprint) merge(ctx context.Context, out store.Sink) (*manifest.Manifest, error) {
	switch err := merged(out, b.Run); {
	case errors.Is(err, ErrComplete): // and cut before all was swept
		if err := sweepTasks(out); err != nil {
			return nil, err
		}
		return nil, ErrComplete
	case err != nil:
		return nil, err
	}
	_, c, err := b.told(ctx, out)
	if err != nil {
		return nil, err
	}
	if missing := b.missing(ctx, out, c); len(missing) > 0 {
		return nil, &Missing{Out: out.String(), Tasks: missing, Of: b.Tasks}
	}
	m := *b.Run
	for _, s := range b.Shards {
		m.Tensors = append(m.Tensors, c.done[s.Name].Tensors...)
	}
	for _, name := range inputNames(b.Run) {
		if sample, ok := c.content[name]; ok {
			m.Content = append(m.Content, manifest.Content{Name: name, Sample: sample})
		}
	}
	if len(b.Shards) > 1 {
		err = writeIndex(ctx, out, &m)
	}
	if err == nil {
		err = crown(ctx, out, &m, b.Readme, b.Beside, b.Config)
	}
	if errors.Is(err, store.ErrDiffers) {
		return nil, fmt.Errorf("%w: remove that file, and merge again", err)
	}
	if err != nil {
		return nil, err
	}
	for _, s := range b.Shards {
		if err := out.Sweep(s.Name); err != nil {
			return nil, err
		}
	}
	return &m, sweepTasks(out)
}

// inputNames are the files of a run's input in the order of its content.
func inputNames(run *manifest.Manifest) []string {
	var names []string
	for _, f := range run.Input.Files {
		names = append(names, f.Name)
	}
	for _, f := range run.Input.Side {
		names = append(names, f.Name)
	}
	return names
}

// collected is what the logs say together.
type collected struct {
	done    map[string]record // of finished files, by name
	whole   map[int]bool      // tasks that have come to their end
	content map[string]string // samples of the input files
}

// collect refuses what cannot be of one input.
func (b *blueprint) collect(logs []taskLog) (*collected, error) {
	c := &collected{map[string]record{}, map[int]bool{}, map[string]string{}}
	first := map[string]int{}
	for _, l := range logs {
		for _, r := range l.records {
			if r.Shard != "" {
				if old, ok := c.done[r.Shard]; ok && !sameTensors(old.Tensors, r.Tensors) {
					return nil, invalid.Errorf("%q was made twice, with different contents: the input has changed in between; remove the folder and run all tasks again", r.Shard)
				}
				c.done[r.Shard] = r
			}
			if r.Whole {
				c.whole[l.task] = true
			}
			for _, x := range r.Content {
				if old, ok := c.content[x.Name]; ok && old != x.Sample {
					return nil, invalid.Errorf("tasks %d and %d have read different contents of %q, of the same size and header: give all the same input, remove the folder and run all tasks again", first[x.Name], l.task, x.Name)
				}
				c.content[x.Name], first[x.Name] = x.Sample, l.task
			}
		}
	}
	return c, nil
}

// told is what the tasks of a folder have told so far, log by log and together.
func (b *blueprint) told(ctx context.Context, out store.Sink) ([]taskLog, *collected, error) {
	logs, err := readLogs(ctx, out)
	if err != nil {
		return nil, nil, err
	}
	c, err := b.collect(logs)
	if err != nil {
		return nil, nil, fmt.Errorf("output folder %q: %w", out, err)
	}
	return logs, c, nil
}

// sameTensors compares what two processes say of a file, in any order.
func sameTensors(a, b []manifest.Tensor) bool {
	byName := func(list []manifest.Tensor) []manifest.Tensor {
		list = slices.Clone(list)
		slices.SortFunc(list, func(x, y manifest.Tensor) int { return strings.Compare(x.Name, y.Name) })
		return list
	}
	return reflect.DeepEqual(byName(a), byName(b))
}

// missing are the tasks whose files are not all there.
func (b *blueprint) missing(ctx context.Context, out store.Sink, c *collected) []int {
	var list []int
	for i := 1; i <= b.Tasks; i++ {
		if !b.there(ctx, out, c, i) {
			list = append(list, i)
		}
	}
	return list
}

// there reports whether a task is done, and its files lie where they were written.
func (b *blueprint) there(ctx context.Context, out store.Sink, c *collected, i int) bool {
	files := b.of(i)
	if i == 1 {
		for _, f := range b.Run.Input.Side {
			if carded(f) {
				continue // the merge writes it
			}
			o, err := out.Open(ctx, f.Name)
			if err != nil {
				return false
			}
			size := o.Size()
			_ = o.Close()
			if size != f.Size {
				return false
			}
		}
	} else if len(files) == 0 {
		return true // more tasks than files: whether it ran or not
	}
	for k := range files {
		if _, ok := c.done[files[k].Name]; !ok || !files[k].published(ctx, out) {
			return false
		}
	}
	return c.whole[i]
}

// published reports whether the file is there and has its header.
func (s *outline) published(ctx context.Context, out store.Sink) bool {
	f, err := out.Open(ctx, s.Name)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	if f.Size() != s.Size {
		return false
	}
	raw := make([]byte, len(s.Header))
	return blockio.ReadFull(f, raw, 0) == nil && string(raw) == string(s.Header)
}

// sweepTasks removes what tasks had beside the output: of each process first what it
// has begun, then its log, which names it; the blueprint last, so that a merge that is
// cut here can go on.
func sweepTasks(out store.Sink) error {
	names, err := out.Names()
	if err != nil {
		return fmt.Errorf("reading output folder %q: %w", out, err)
	}
	var logs []string
	begun := left(names, mergeID)
	for _, n := range names {
		if _, id, ok := logOf(n); ok {
			logs = append(logs, n)
			begun = append(begun, left(names, id)...)
		}
	}
	for _, n := range slices.Concat(begun, logs, []string{blueprintName}) {
		if err := out.Remove(n); err != nil {
			return err
		}
	}
	return out.Sync()
}

// left are the names of what a process has begun.
func left(names []string, id string) []string {
	var list []string
	for _, n := range names {
		if _, _, log := logOf(n); !log && strings.HasSuffix(n, "."+id+store.Partial) {
			list = append(list, n)
		}
	}
	return list
}
