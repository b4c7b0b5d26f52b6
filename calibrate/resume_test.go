package calibrate_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"quern/calibrate"
	"quern/corpus"
	"quern/formats/hf"
	"quern/internal/blockio"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
	"quern/runner"
)

// job is a run with its options, as tests repeat it.
type job struct {
	model *runner.Model
	texts []corpus.Text
}

func newJob(t testing.TB) job {
	m := openModel(t, models+"deepseek_v3")
	return job{m, some(8, m.Vocab(), 30, 11)}
}

// start runs it in a folder, with hidden states saved after every layer.
func (j job) start(dir string, fs blockio.FS) (*calibrate.Result, error) {
	o := calibrate.Options{Tool: "test", Pairs: true, Trace: dir + "/trace", FS: fs}
	return calibrate.Run(context.Background(), j.model, j.texts, corpus.Whole(j.texts), dir+"/c", o)
}

// folder is the content of the files in a folder.
func folder(t testing.TB, dir string) map[string]string {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, n := range names {
		out[n.Name()] = string(read(t, filepath.Join(dir, n.Name())))
	}
	return out
}

func sameFolder(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for name, x := range want {
		if got[name] != x {
			t.Errorf("%s: %s differs or is not there", what, name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is left", what, name)
		}
	}
}

// clean is what an uninterrupted run leaves.
func (j job) clean(t testing.TB) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if _, err := j.start(dir, nil); err != nil {
		t.Fatal(err)
	}
	return folder(t, dir)
}

var errCrash = errors.New("the machine is gone")

// A crash at any call, after which none is made any more, as a kill leaves things; and
// a single call that fails. The same run again gives the same files and leaves no
// other.
func TestCrashes(t *testing.T) {
	j := newJob(t)
	want := j.clean(t)
	count := &faultfs.FS{NoSync: true}
	if _, err := j.start(t.TempDir(), count); err != nil {
		t.Fatal(err)
	}
	// Every call but most of the reads that put the file together at the end.
	var points []int
	for i, c := range count.Calls() {
		if c.Kind != faultfs.Read || i%60 == 0 {
			points = append(points, i+1)
		}
	}
	if testing.Short() {
		points = slices.DeleteFunc(points, func(at int) bool { return at%4 != 0 })
	}
	calls := len(count.Calls())
	resumed := map[int]int{}
	for _, crash := range []bool{true, false} {
		for _, at := range points {
			dir := t.TempDir()
			n := 0
			fs := &faultfs.FS{NoSync: true, Hook: func(faultfs.Call) *faultfs.Fault {
				if n++; n == at || crash && n > at {
					return &faultfs.Fault{Err: errCrash}
				}
				return nil
			}}
			_, err := j.start(dir, fs)
			if err == nil && n < at {
				t.Fatalf("call %d of %d was not made", at, calls)
			}
			if err != nil && !errors.Is(err, errCrash) {
				t.Fatalf("call %d: %v", at, err)
			}
			if fs.OpenFiles() != 0 {
				t.Errorf("call %d: %d files are open", at, fs.OpenFiles())
			}
			if got := folder(t, dir); got["c"] != "" && got["c"] != want["c"] || got["trace"] != "" && got["trace"] != want["trace"] {
				t.Fatalf("call %d: a file has its name and is not whole", at)
			}
			r, err := j.start(dir, &faultfs.FS{NoSync: true})
			switch {
			case errors.Is(err, calibrate.ErrComplete):
				resumed[-1]++
			case err != nil:
				t.Fatalf("after a crash at call %d: %v", at, err)
			default:
				resumed[r.Resumed]++
			}
			sameFolder(t, "after a fault at call "+strconv.Itoa(at), folder(t, dir), want)
		}
	}
	t.Logf("%d calls; gone on at layer: %v", calls, resumed)
	for layer := range 5 { // 4: the last layer was done
		if resumed[layer] == 0 {
			t.Errorf("no run went on at layer %d", layer)
		}
	}
}

// What was saved and is not what it was any more is not used.
func TestDamagedState(t *testing.T) {
	j := newJob(t)
	want := j.clean(t)
	interrupted := func(after int) string {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		syncs := 0
		fs := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
			if c.Kind == faultfs.Sync && strings.HasSuffix(c.Name, ".state.partial") {
				if syncs++; syncs == after {
					cancel()
				}
			}
			return nil
		}}
		o := calibrate.Options{Tool: "test", Pairs: true, Trace: dir + "/trace", FS: fs}
		_, err := calibrate.Run(ctx, j.model, j.texts, corpus.Whole(j.texts), dir+"/c", o)
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		return dir
	}
	for name, c := range map[string]struct {
		file string
		do   func(raw []byte) []byte
		want int
	}{
		"untouched":  {"c.state.partial", func(raw []byte) []byte { return raw }, 2},
		"statistics": {"c.state.partial", func(raw []byte) []byte { raw[len(raw)/4*3] ^= 1; return raw }, 1},
		"statistics of the first layer": {"c.state.partial", func(raw []byte) []byte {
			i := bytes.IndexByte(raw, '\n') + 1
			i += bytes.IndexByte(raw[i:], '\n')
			raw[i+9] ^= 1
			return raw
		}, 0},
		"a name":            {"c.state.partial", func(raw []byte) []byte { return bytes.Replace(raw, []byte("q_a_proj"), []byte("q_a_prok"), 1) }, 0},
		"the last line cut": {"c.state.partial", func(raw []byte) []byte { return raw[:len(raw)-3] }, 1},
		"cut":               {"c.state.partial", func(raw []byte) []byte { return raw[:len(raw)/3] }, 1},
		"empty":             {"c.state.partial", func([]byte) []byte { return nil }, 0},
		"zeros":             {"c.state.partial", func(raw []byte) []byte { return make([]byte, len(raw)) }, 0},
		"states":            {"c.hidden.partial", func(raw []byte) []byte { raw[len(raw)-9] ^= 1; return raw }, 0},
		"no states":         {"c.hidden.partial", func([]byte) []byte { return nil }, 0},
		"trace":             {"trace.partial", func(raw []byte) []byte { return raw[:len(raw)-1] }, 0},
		"no trace":          {"trace.partial", func([]byte) []byte { return nil }, 0},
	} {
		dir := interrupted(2)
		path := filepath.Join(dir, c.file)
		if err := os.WriteFile(path, c.do(read(t, path)), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := j.start(dir, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.Resumed != c.want {
			t.Errorf("%s: goes on at layer %d instead of %d", name, r.Resumed, c.want)
		}
		sameFolder(t, name, folder(t, dir), want)
	}
}

// A run may go on with less memory, so that states lie in a file, or with more.
func TestResumeInOtherMemory(t *testing.T) {
	j := newJob(t)
	want := j.clean(t)
	for _, memory := range [][2]int64{{1, 0}, {0, 1}, {1, 1}} {
		dir := t.TempDir()
		run := func(ctx context.Context, memory int64, fs blockio.FS) (*calibrate.Result, error) {
			o := calibrate.Options{Tool: "test", Pairs: true, Trace: dir + "/trace", FS: fs, Runner: runner.Options{Memory: memory, TempDir: t.TempDir()}}
			return calibrate.Run(ctx, j.model, j.texts, corpus.Whole(j.texts), dir+"/c", o)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		fs := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
			if c.Kind == faultfs.Sync && strings.HasSuffix(c.Name, ".state.partial") && c.N == 2 {
				cancel()
			}
			return nil
		}}
		if _, err := run(ctx, memory[0], fs); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		r, err := run(context.Background(), memory[1], nil)
		if err != nil || r.Resumed != 2 {
			t.Fatal(r, err)
		}
		sameFolder(t, "in other memory", folder(t, dir), want)
	}
}

// A run that is not the one that was begun is refused, and says why.
func TestOtherRun(t *testing.T) {
	j := newJob(t)
	dir := t.TempDir()
	n := 0
	fs := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
		if c.Kind == faultfs.Sync && strings.HasSuffix(c.Name, ".state.partial") {
			n++
		}
		if n >= 2 {
			return &faultfs.Fault{Err: errCrash}
		}
		return nil
	}}
	if _, err := j.start(dir, fs); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	left := folder(t, dir)
	try := func(what string, m *runner.Model, texts []corpus.Text, o calibrate.Options, want string) {
		t.Helper()
		_, err := calibrate.Run(context.Background(), m, texts, corpus.Whole(texts), dir+"/c", o)
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--overwrite") {
			t.Errorf("%s: %v", what, err)
		}
		sameFolder(t, what, folder(t, dir), left)
	}
	o := calibrate.Options{Tool: "test", Pairs: true, Trace: dir + "/trace"}
	try("other texts", j.model, j.texts[:1], o, "texts are others")
	p := o
	p.Pairs = false
	try("other options", j.model, j.texts, p, "options are others")
	p = o
	p.Trace = ""
	try("no trace", j.model, j.texts, p, "options are others")
	p = o
	p.Tool = "newer"
	try("other program", j.model, j.texts, p, "begun by test, this is newer")
	other := openModel(t, models+"glm4_moe")
	try("other model", other, j.texts, o, "it is of model deepseek_v3")
	copied := filepath.Join(t.TempDir(), "m")
	if err := os.CopyFS(copied, os.DirFS(models+"deepseek_v3")); err != nil {
		t.Fatal(err)
	}
	try("written to", openModel(t, copied), j.texts, o, "were written to since")

	o.Overwrite = true
	r, err := calibrate.Run(context.Background(), j.model, j.texts, corpus.Whole(j.texts), dir+"/c", o)
	if err != nil || r.Resumed != 0 {
		t.Fatal(r, err)
	}
	sameFolder(t, "overwritten", folder(t, dir), j.clean(t))
	// Now it is complete; once more only if asked.
	o.Overwrite = false
	if r2, err := calibrate.Run(context.Background(), j.model, j.texts, corpus.Whole(j.texts), dir+"/c", o); !errors.Is(err, calibrate.ErrComplete) || r2.Digest != r.Digest {
		t.Error(r2, err)
	}
	// Another calibration is replaced; files that quern did not write stay as they are,
	// whichever of its names they have.
	if err := os.WriteFile(dir+"/c", bytes.Replace(read(t, dir+"/c"), []byte("test"), []byte("else"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := j.start(dir, nil); err != nil {
		t.Error(err)
	}
	sameFolder(t, "replaced", folder(t, dir), j.clean(t))
	for _, name := range []string{"c", "trace", "c.partial", "c.state.partial", "c.hidden.partial", "trace.partial"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("precious"), 0o644); err != nil {
			t.Fatal(err)
		}
		o.Overwrite, o.Trace = true, dir+"/trace"
		_, err := calibrate.Run(context.Background(), j.model, j.texts, corpus.Whole(j.texts), dir+"/c", o)
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "quern did not write") {
			t.Errorf("%s: %v", name, err)
		}
		sameFolder(t, name, folder(t, dir), map[string]string{name: "precious"})
	}
}

func TestTwoAtOnce(t *testing.T) {
	j := newJob(t)
	dir := t.TempDir()
	var second error
	fs := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
		if second == nil && c.Kind == faultfs.Sync {
			_, second = j.start(dir, nil)
		}
		return nil
	}}
	if _, err := j.start(dir, fs); err != nil {
		t.Fatal(err)
	}
	if second == nil || !strings.Contains(second.Error(), "another quern is writing it") {
		t.Error(second)
	}
	sameFolder(t, "beside another", folder(t, dir), j.clean(t))
}

// The child of TestKill runs a job in the folder that the environment names, and
// kills itself at a call of the file system.
const childDir, childCall = "QUERN_TEST_CALIBRATE_DIR", "QUERN_TEST_CALIBRATE_CALL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

func child(dir string) {
	at, _ := strconv.Atoi(os.Getenv(childCall))
	n := 0
	fs := &faultfs.FS{NoSync: true, Hook: func(faultfs.Call) *faultfs.Fault {
		if n++; n == at {
			p, _ := os.FindProcess(os.Getpid())
			_ = p.Kill()
			select {}
		}
		return nil
	}}
	c, err := hf.Open(models + "deepseek_v3")
	if err != nil {
		panic(err)
	}
	m, err := runner.Open(c, nil)
	if err != nil {
		panic(err)
	}
	_, err = job{m, some(8, m.Vocab(), 30, 11)}.start(dir, fs)
	panic(err) // it should have been killed
}

// Kill −9 at calls that are spread over a run.
func TestKill(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	j := newJob(t)
	want := j.clean(t)
	count := &faultfs.FS{NoSync: true}
	if _, err := j.start(t.TempDir(), count); err != nil {
		t.Fatal(err)
	}
	calls := len(count.Calls())
	for _, at := range []int{2, calls / 4, calls / 2, calls * 3 / 4, calls - 8, calls - 1} {
		dir := t.TempDir()
		c := exec.Command(exe)
		c.Env = append(os.Environ(), childDir+"="+dir, childCall+"="+strconv.Itoa(at))
		if out, err := c.CombinedOutput(); err == nil || bytes.Contains(out, []byte("panic")) {
			t.Fatalf("call %d of %d: %v: %s", at, calls, err, out)
		}
		if _, err := j.start(dir, nil); err != nil && !errors.Is(err, calibrate.ErrComplete) {
			t.Fatal(err)
		}
		sameFolder(t, "killed at call "+strconv.Itoa(at), folder(t, dir), want)
	}
}
