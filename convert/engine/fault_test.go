package engine_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"quern/convert"
	"quern/convert/engine"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/internal/blockio"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
	"quern/scheme"
	"quern/store"
)

// subject is a conversion that tests interrupt.
type subject struct {
	name  string
	ck    *hf.Checkpoint
	plan  *plan.Plan
	begun map[string]string // what lies in the folder when the run starts
	want  map[string]string
}

// subjects are a quantization of several shards, the same where an earlier run
// was killed, the way back, in which scales are read beside weights, and one that
// begins with surveys.
func subjects(t *testing.T) []subject {
	t.Helper()
	ck, p := mustOpen(t, tiny(), tinyShard)
	want := tinyClean()
	back, err := hf.Open(filepath.Join(scratch, "clean"))
	if err != nil {
		t.Fatal(err)
	}
	q, err := convert.PlanBF16(back, convert.BF16Options{ShardSize: 3 * tinyShard})
	if err != nil {
		t.Fatal(err)
	}
	sck, s := surveyed(t, scheme.NVFP4, grouped(), 2*tinyShard)
	return []subject{
		{"surveys", sck, s, nil, convertTo(t, sck, s, filepath.Join(temp(t), "out"), quick)},
		{"quantize", ck, p, nil, want},
		{"resume", ck, p, killed(t, ck, p), want},
		{"back", back, q, nil, convertTo(t, back, q, filepath.Join(temp(t), "out"), quick)},
	}
}

// killed is the folder that a run leaves which is killed in its fourth shard,
// when the first three are recorded and no other has begun.
func killed(t *testing.T, ck *hf.Checkpoint, p *plan.Plan) map[string]string {
	t.Helper()
	out := filepath.Join(temp(t), "out")
	var files map[string]string
	recorded, taken := make(chan struct{}), make(chan struct{})
	_, err := start(ck, p, out, on(&faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
		base := filepath.Base(c.Name)
		switch {
		case c.Kind == faultfs.Sync && base == engine.StateName && c.N == 4:
			close(recorded)
		case c.Kind == faultfs.Create && base == p.Shards[4].Name+".partial":
			<-taken
			return &faultfs.Fault{Err: syscall.EIO}
		case c.Kind == faultfs.Rename && base == p.Shards[3].Name+".partial":
			<-recorded
			files = folder(t, out)
			close(taken)
			return &faultfs.Fault{Err: syscall.EIO}
		}
		return nil
	}}))
	for _, s := range p.Shards[:3] {
		if files[s.Name] == "" || !strings.Contains(files[engine.StateName], s.Name) {
			t.Fatalf("%v, %s is not there in %v", err, s.Name, names(files))
		}
	}
	if err == nil || files[p.Shards[3].Name+".partial"] == "" {
		t.Fatalf("%v, the folder holds %v", err, names(files))
	}
	return files
}

// prepare makes a folder, with what lies in it when the run starts.
func (s subject) prepare(t *testing.T) (out string) {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "fault")
	if err != nil {
		t.Error(err)
		return
	}
	out = filepath.Join(dir, "out")
	restore(t, out, s.begun)
	return out
}

// restore fills a folder.
func restore(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, raw := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(path, []byte(raw), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// fault is a call that is made to fail.
type fault struct {
	faultfs.Call        // Name: relative to the output folder, or the input's path
	err          error  // nil: short
	mode         string // for messages
}

// faults lists every call of an uninterrupted run with the ways in which it can
// fail.
func (s subject) faults(t *testing.T) []fault {
	t.Helper()
	out := s.prepare(t)
	defer os.RemoveAll(filepath.Dir(out))
	fsys := &faultfs.FS{NoSync: true}
	sameFiles(t, "recorded", convertTo(t, s.ck, s.plan, out, on(fsys)), s.want)
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%d files are open after a run", n)
	}
	var list []fault
	for i, c := range fsys.Calls() {
		c.Name = relative(out, c.Name)
		list = append(list, fault{c, syscall.EIO, "EIO"})
		switch c.Kind {
		case faultfs.Write: // taking turns: there are many
			list = append(list, []fault{{c, syscall.ENOSPC, "ENOSPC"}, {c, nil, "short"}}[i%2])
		case faultfs.Reserve, faultfs.Create, faultfs.Append, faultfs.Mkdir, faultfs.Rename:
			list = append(list, fault{c, syscall.ENOSPC, "ENOSPC"})
		case faultfs.Read:
			list = append(list, fault{c, nil, "short"})
		}
	}
	return list
}

func relative(out, name string) string {
	// The folder above has another name in each run, too.
	if rel, err := filepath.Rel(out, name); err == nil && (filepath.IsLocal(rel) || rel == "..") {
		return rel
	}
	return name
}

// harmless says whether nothing depends on a call's success.
func (f fault) harmless(begun map[string]string) bool {
	switch f.Kind {
	case faultfs.Open, faultfs.Stat, faultfs.Read:
		// A look at what an earlier run has left: what cannot be read is made anew.
		return !filepath.IsAbs(f.Name) && f.Name != engine.StateName
	case faultfs.Real:
		return true // names are compared as they are where links cannot be followed
	case faultfs.Close:
		// Of files that were read, and of the state when it has done its duty.
		return filepath.IsAbs(f.Name) || f.Name == engine.StateName || f.N == 1 && begun[f.Name] != ""
	}
	return false
}

// Every call fails once, in every way: the run fails and names the file, no
// file has its final name that is not whole, and the next run completes.
func TestEveryCallFails(t *testing.T) {
	steady(t)
	for _, s := range subjects(t) {
		t.Run(s.name, func(t *testing.T) {
			list := s.faults(t)
			if testing.Short() || raced {
				list = sample(list, 80)
			}
			t.Logf("%d faults", len(list))
			parallel(list, func(f fault) { s.fail(t, f) })
		})
	}
}

// fail runs the subject with one fault, and again without.
func (s subject) fail(t *testing.T, f fault) {
	what := f.mode + " in " + string(f.Kind) + " of " + f.Name
	out := s.prepare(t)
	defer os.RemoveAll(filepath.Dir(out))
	var hit atomic.Bool
	fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
		if c.Kind == f.Kind && c.N == f.N && relative(out, c.Name) == f.Name {
			hit.Store(true)
			return &faultfs.Fault{Err: f.err}
		}
		return nil
	}}
	_, got := start(s.ck, s.plan, out, on(fsys))
	switch {
	case !hit.Load():
		t.Errorf("%s: call %d did not come", what, f.N)
	case got == nil && !f.harmless(s.begun):
		t.Errorf("%s: no error", what)
	case got != nil:
		f.check(t, what, got)
	}
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%s: %d files are open", what, n)
	}
	files := folder(t, out)
	onlyFinished(t, what, files, s.want)
	for name := range files {
		if strings.HasSuffix(name, ".partial") && name != engine.StateName && s.begun[name] == "" && got != nil {
			t.Errorf("%s: %s takes space and serves nobody", what, name)
		}
	}
	finish(t, s.ck, s.plan, out, what)
	sameFiles(t, what+", completed", folder(t, out), s.want)
}

// check holds an error against its cause.
func (f fault) check(t *testing.T, what string, got error) {
	t.Helper()
	want := f.err
	if want == nil && f.Kind == faultfs.Write {
		want = io.ErrShortWrite
	}
	if want != nil && !errors.Is(got, want) {
		t.Errorf("%s: %v", what, got)
	}
	if !strings.Contains(got.Error(), filepath.Base(f.Name)) && f.Name != "." && f.Name != ".." {
		t.Errorf("%s: %v does not name it", what, got)
	}
	// A read that ends early without an error is a file that became shorter:
	// that is the input's fault, everything else the machine's.
	if blamed := errors.Is(got, invalid.Input); blamed != (f.mode == "short" && f.Kind == faultfs.Read && filepath.IsAbs(f.Name)) {
		t.Errorf("%s: %v: invalid input is %v", what, got, blamed)
	}
	if strings.Contains(got.Error(), "\n") {
		t.Errorf("%s: %q has several lines", what, got)
	}
}

// A disk that is full stays full, and one that breaks stays broken.
func TestLastingFaults(t *testing.T) {
	steady(t)
	for _, s := range subjects(t) {
		clean := s.faults(t)
		for mode, err := range map[string]error{"full": syscall.ENOSPC, "broken": syscall.EIO} {
			parallel(sample(clean, 15), func(f fault) {
				what := mode + " from " + string(f.Kind) + " of " + f.Name
				out := s.prepare(t)
				defer os.RemoveAll(filepath.Dir(out))
				var since atomic.Bool
				fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
					if c.Kind == f.Kind && c.N == f.N && relative(out, c.Name) == f.Name {
						since.Store(true)
					}
					switch {
					case !since.Load() || filepath.IsAbs(relative(out, c.Name)), c.Kind == faultfs.Close:
						return nil
					case mode == "full" && c.Kind != faultfs.Write && c.Kind != faultfs.Reserve && c.Kind != faultfs.Create:
						return nil
					}
					return &faultfs.Fault{Err: err}
				}}
				if _, got := start(s.ck, s.plan, out, on(fsys)); got != nil && !errors.Is(got, err) {
					t.Errorf("%s: %v", what, got)
				}
				if n := fsys.OpenFiles(); n != 0 {
					t.Errorf("%s: %d files are open", what, n)
				}
				onlyFinished(t, what, folder(t, out), s.want)
				finish(t, s.ck, s.plan, out, what)
				sameFiles(t, what+", completed", folder(t, out), s.want)
			})
		}
	}
}

// The context ends at every call: the run stops, what is finished stays.
func TestCancelAtEveryCall(t *testing.T) {
	steady(t)
	s := subjects(t)[0]
	list := s.faults(t)
	var points []fault
	for _, f := range list {
		if f.mode == "EIO" {
			points = append(points, f)
		}
	}
	n := 120
	if raced {
		n = 40
	}
	var stopped atomic.Int32
	parallel(sample(points, n), func(f fault) {
		what := "cancelled at " + string(f.Kind) + " of " + f.Name
		out := s.prepare(t)
		defer os.RemoveAll(filepath.Dir(out))
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
			if c.Kind == f.Kind && c.N == f.N && relative(out, c.Name) == f.Name {
				cancel()
			}
			return nil
		}}
		o := convert.EngineOptions(s.ck, out, convert.RunOptions{})
		on(fsys)(&o)
		_, got := engine.Run(ctx, s.plan, o)
		switch {
		case got == nil: // too late
		case !errors.Is(got, context.Canceled) || errors.Is(got, invalid.Input):
			t.Errorf("%s: %v", what, got)
		default:
			stopped.Add(1)
			if _, err := os.Stat(filepath.Join(out, engine.StateName)); err != nil {
				t.Errorf("%s: the state is gone: %v", what, err)
			}
		}
		if n := fsys.OpenFiles(); n != 0 {
			t.Errorf("%s: %d files are open", what, n)
		}
		onlyFinished(t, what, folder(t, out), s.want)
		finish(t, s.ck, s.plan, out, what)
		sameFiles(t, what+", completed", folder(t, out), s.want)
	})
	if got := int(stopped.Load()); got < n/2 {
		t.Errorf("only %d of %d runs were stopped", got, n)
	}
}

// finish runs a plan to its end on what an earlier run has left; that may be
// all.
func finish(t *testing.T, ck *hf.Checkpoint, p *plan.Plan, out, what string) {
	t.Helper()
	if _, err := start(ck, p, out, quick); err != nil && !errors.Is(err, engine.ErrComplete) {
		t.Errorf("%s: the next run: %v", what, err)
	}
}

// quick spares the disk, and the time to clear large slabs.
func quick(o *engine.Options) { on(&faultfs.FS{NoSync: true})(o) }

func on(fsys *faultfs.FS) func(*engine.Options) {
	return func(o *engine.Options) {
		o.Memory, o.Workers = 72<<20, 2
		through(o, fsys)
	}
}

// through makes a run reach input and output through a file system.
func through(o *engine.Options, fsys blockio.FS) {
	o.Out, o.In = store.LocalSink(fsys, o.Dir), store.Local(fsys, o.In.String())
}
