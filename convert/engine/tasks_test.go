package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quern/convert/engine"
	"quern/convert/manifest"
	"quern/formats/safetensors"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
	"quern/store"
	"quern/task"
)

// runTask makes the files of task i of n.
func runTask(s subject, out string, i, n int, fsys *faultfs.FS) error {
	_, err := start(s.ck, s.plan, out, func(o *engine.Options) {
		if fsys != nil {
			through(o, fsys)
		} else {
			quick(o)
		}
		o.Task = task.Task{I: i, N: n}
	})
	return err
}

func merge(out string) error {
	_, err := engine.Merge(context.Background(), store.LocalSink(nil, out))
	return err
}

// missing are the tasks that a merge names.
func missing(t *testing.T, out string) []int {
	t.Helper()
	err := merge(out)
	m, ok := errors.AsType[*engine.Missing](err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	if m == nil {
		return nil
	}
	return m.Tasks
}

// Tasks in any order, some twice at once, and a merge: the folder of a single run,
// whatever their number. A merge that comes early names those that are missing.
func TestTasks(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, s := range subjects(t) {
		if s.begun != nil {
			continue
		}
		for _, n := range []int{1, 2, 3, 5, len(s.plan.Shards) + 2} {
			what := fmt.Sprintf("%s, %d tasks", s.name, n)
			out := filepath.Join(temp(t), "out")
			var open []int
			for i := 1; i <= n; i++ {
				if n <= len(s.plan.Shards) || i == 1 || i <= len(s.plan.Shards) {
					open = append(open, i)
				}
			}
			if m := missing(t, out); m != nil {
				t.Fatal(what, m)
			}
			for k, i := range r.Perm(n) {
				i++
				var wg sync.WaitGroup
				errs := make([]error, 1+k%2)
				for c := range errs {
					wg.Go(func() { errs[c] = runTask(s, out, i, n, nil) })
				}
				wg.Wait()
				if err := errors.Join(errs...); err != nil {
					t.Fatalf("%s: task %d: %v", what, i, err)
				}
				open = slices.DeleteFunc(open, func(x int) bool { return x == i })
				if k < n-1 && len(open) > 0 {
					if m := missing(t, out); n <= len(s.plan.Shards) && !slices.Equal(m, open) {
						t.Fatalf("%s: %v are missing, %v should", what, m, open)
					}
				}
			}
			if err := merge(out); err != nil && !errors.Is(err, engine.ErrComplete) {
				t.Fatal(what, err)
			}
			sameFiles(t, what, folder(t, out), s.want)
			if err := merge(out); !errors.Is(err, engine.ErrComplete) {
				t.Error(what, err)
			}
			if err := runTask(s, out, 1, n, nil); !errors.Is(err, engine.ErrComplete) {
				t.Error(what, err)
			}
			sameFiles(t, what+", once more", folder(t, out), s.want)
		}
	}
}

// All tasks at once, each twice.
func TestTasksAtOnce(t *testing.T) {
	for _, s := range subjects(t) {
		if s.begun != nil {
			continue
		}
		out := filepath.Join(temp(t), "out")
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for c := range errs {
			wg.Go(func() { errs[c] = runTask(s, out, c/2+1, 4, nil) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if err := merge(out); err != nil {
			t.Fatal(err)
		}
		sameFiles(t, s.name, folder(t, out), s.want)
	}
}

// Processes of tasks killed at random, and run again.
func TestTasksKilled(t *testing.T) {
	want := tinyClean()
	r := rand.New(rand.NewPCG(5, 6))
	for range 6 {
		out := filepath.Join(temp(t), "out")
		for i := 1; i <= 3; i++ {
			env := fmt.Sprintf("%s=%d/3", childTask, i)
			for range 3 {
				c, said := command(out, env, childSlow+"=3ms")
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(r.IntN(120)) * time.Millisecond)
				_ = c.Process.Kill()
				if err := c.Wait(); err != nil && said.Len() > 0 {
					t.Fatalf("%v: %s", err, said)
				}
			}
			onlyFinished(t, "killed", folderWithoutTasks(t, out), want)
			if c, said := command(out, env); c.Run() != nil {
				t.Fatal(said)
			}
		}
		if err := merge(out); err != nil {
			t.Fatal(err)
		}
		sameFiles(t, "killed", folder(t, out), want)
	}
}

func folderWithoutTasks(t *testing.T, out string) map[string]string {
	files := folder(t, out)
	for n := range files {
		if strings.HasPrefix(n, "quern-task") {
			delete(files, n)
		}
	}
	return files
}

// Every call of a merge fails once: nothing is taken for a finished folder that is not
// whole, and the next merge makes it so.
func TestMergeFaults(t *testing.T) {
	s := subjects(t)[1]
	made := filepath.Join(temp(t), "out")
	for i := 1; i <= 2; i++ {
		if err := runTask(s, made, i, 2, nil); err != nil {
			t.Fatal(err)
		}
	}
	begun := folder(t, made)
	for n := int64(1); ; n++ {
		out := filepath.Join(temp(t), "out")
		restore(t, out, begun)
		var calls atomic.Int64
		fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
			if calls.Add(1) == n {
				return &faultfs.Fault{Err: errors.New("the disk is gone")}
			}
			return nil
		}}
		_, err := engine.Merge(context.Background(), store.LocalSink(fsys, out))
		if calls.Load() < n {
			sameFiles(t, "no fault", folder(t, out), s.want)
			return
		}
		onlyFinished(t, "merge", folderWithoutTasks(t, out), s.want)
		if _, ok := errors.AsType[*engine.Missing](err); err != nil && !ok && !strings.Contains(err.Error(), "the disk is gone") {
			t.Fatalf("call %d: %v", n, err)
		}
		if err := merge(out); err != nil && !errors.Is(err, engine.ErrComplete) {
			t.Fatalf("call %d: %v", n, err)
		}
		sameFiles(t, fmt.Sprintf("call %d", n), folder(t, out), s.want)
	}
}

// What does not go together is refused, and nothing is changed.
func TestTasksRefused(t *testing.T) {
	s := subjects(t)[1]
	oneOf := func(n int) string {
		out := filepath.Join(temp(t), "out")
		if err := runTask(s, out, 1, n, nil); err != nil {
			t.Fatal(err)
		}
		return out
	}
	out := oneOf(3)
	was := folder(t, out)
	otherCk, other := mustOpen(t, tiny(), 2*tinyShard)
	for what, c := range map[string]struct {
		run func() error
		say string
	}{
		"another plan": {func() error { return runTask(subject{ck: otherCk, plan: other}, out, 2, 3, nil) }, "another run"},
		"another n":    {func() error { return runTask(s, out, 2, 4, nil) }, "made by 3 tasks, this is one of 4"},
		"no task":      {func() error { _, err := start(s.ck, s.plan, out, quick); return err }, "made by tasks"},
	} {
		if err := c.run(); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v", what, err)
		}
		sameFiles(t, what, folder(t, out), was)
	}

	foreign := temp(t)
	write := func(name string) {
		if err := os.WriteFile(filepath.Join(foreign, name), []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("notes.txt")
	for what, err := range map[string]error{"task": runTask(s, foreign, 1, 3, nil), "merge": merge(foreign)} {
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "notes.txt") {
			t.Errorf("%s: %v", what, err)
		}
	}
	file := filepath.Join(foreign, "notes.txt")
	for what, err := range map[string]error{"task": runTask(s, file, 1, 3, nil), "merge": merge(file)} {
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "not a folder") {
			t.Errorf("%s: %v", what, err)
		}
	}
	single := filepath.Join(temp(t), "out")
	restore(t, single, killed(t, s.ck, s.plan))
	for what, err := range map[string]error{"task": runTask(s, single, 1, 3, nil), "merge": merge(single)} {
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "without --task") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A file that went is made again by its task; one that is another's is not replaced;
// tasks that have read different inputs are no result.
func TestTasksDoNotAgree(t *testing.T) {
	s := subjects(t)[1]
	out := filepath.Join(temp(t), "out")
	for i := 1; i <= 3; i++ {
		if err := runTask(s, out, i, 3, nil); err != nil {
			t.Fatal(err)
		}
	}
	last := filepath.Join(out, s.plan.Shards[len(s.plan.Shards)-1].Name)
	if err := os.Remove(last); err != nil {
		t.Fatal(err)
	}
	if m := missing(t, out); !slices.Equal(m, []int{3}) {
		t.Fatal(m)
	}
	raw := []byte(s.want[filepath.Base(last)])
	raw[len(raw)-1] ^= 1
	if err := os.WriteFile(last, raw[:len(raw)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := runTask(s, out, 3, 3, nil); !errors.Is(err, store.ErrDiffers) || !errors.Is(err, invalid.Input) {
		t.Fatal(err)
	}
	if err := os.Remove(last); err != nil {
		t.Fatal(err)
	}
	if err := runTask(s, out, 3, 3, nil); err != nil {
		t.Fatal(err)
	}
	if err := merge(out); err != nil {
		t.Fatal(err)
	}
	sameFiles(t, "made again", folder(t, out), s.want)

	// The same names, sizes and headers, and other weights.
	a := checkpoint(t, generic, tensor{"a.weight", safetensors.BF16, []int64{64, 64}, nil}, tensor{"b.weight", safetensors.BF16, []int64{64, 64}, nil})
	b := temp(t)
	files := folder(t, a)
	changed := []byte(files["model.safetensors"])
	for i := len(changed) - 4000; i < len(changed); i++ {
		changed[i] ^= 1
	}
	files["model.safetensors"] = string(changed)
	restore(t, b, files)
	out = filepath.Join(temp(t), "out")
	for i, dir := range []string{a, b} {
		ck, p := planOf(t, dir, 1<<13, copied)
		if err := runTask(subject{ck: ck, plan: p}, out, i+1, 2, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := merge(out); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "tasks 1 and 2 have read different contents") {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(out, manifest.Name)); err == nil {
		t.Error("merged all the same")
	}
}

// What killed processes had begun goes when their task runs again.
func TestTasksTidy(t *testing.T) {
	s := subjects(t)[1]
	out := filepath.Join(temp(t), "out")
	if err := runTask(s, out, 1, 3, nil); err != nil {
		t.Fatal(err)
	}
	mine, others := "quern-task-2.gone-1-2.partial", "quern-task-3.gone-3-4.partial"
	restore(t, out, map[string]string{mine: "", others: "", "x.gone-1-2.partial": "left", "x.gone-3-4.partial": "left"})
	if err := runTask(s, out, 2, 3, nil); err != nil {
		t.Fatal(err)
	}
	files := folder(t, out)
	if _, ok := files["x.gone-1-2.partial"]; ok {
		t.Error("it stays")
	}
	if _, ok := files["x.gone-3-4.partial"]; !ok {
		t.Error("what another task has begun is gone")
	}
	if err := runTask(s, out, 3, 3, nil); err != nil {
		t.Fatal(err)
	}
	if err := merge(out); err != nil {
		t.Fatal(err)
	}
	sameFiles(t, "tidy", folder(t, out), s.want)
}

func TestStatus(t *testing.T) {
	s := subjects(t)[1]
	out := filepath.Join(temp(t), "out")
	sink := store.LocalSink(nil, out)
	look := func(now time.Time) *engine.Status {
		t.Helper()
		st, err := engine.LookStatus(context.Background(), sink, now)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	if _, err := engine.LookStatus(context.Background(), sink, time.Now()); !strings.Contains(err.Error(), "no task has begun") {
		t.Error(err)
	}
	if err := runTask(s, out, 2, 4, nil); err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	var once sync.Once
	fail := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
		if c.Kind == faultfs.Reserve {
			once.Do(func() { close(begun) })
			time.Sleep(100 * time.Millisecond)
			return &faultfs.Fault{Err: errors.New("the disk is gone")}
		}
		return nil
	}}
	ended := make(chan error)
	go func() { ended <- runTask(s, out, 3, 4, fail) }()
	<-begun
	stages := func(st *engine.Status) string {
		var all []string
		for i := range st.Tasks {
			all = append(all, string(st.Tasks[i].Stage))
		}
		return strings.Join(all, " ")
	}
	if got := stages(look(time.Now())); got != "waiting done running waiting" {
		t.Error(got)
	}
	if got := stages(look(time.Now().Add(time.Hour))); got != "waiting done failed waiting" {
		t.Error(got)
	}
	if err := <-ended; err == nil {
		t.Fatal("no error")
	}
	st := look(time.Now())
	if got := stages(st); got != "waiting done failed waiting" || !strings.Contains(st.Tasks[2].Error, "the disk is gone") {
		t.Error(got, st.Tasks[2].Error)
	}
	if st.Tasks[1].Written != st.Tasks[1].Bytes || st.Written != st.Tasks[1].Bytes || st.Count[engine.Waiting] != 2 || st.Merged {
		t.Errorf("%+v", st)
	}
	for _, i := range []int{1, 3, 4} {
		if err := runTask(s, out, i, 4, nil); err != nil {
			t.Fatal(err)
		}
	}
	if st := look(time.Now()); stages(st) != "done done done done" || st.Written != st.Bytes {
		t.Errorf("%+v", st)
	}
	if err := merge(out); err != nil {
		t.Fatal(err)
	}
	if !look(time.Now()).Merged {
		t.Error("merged")
	}
}
