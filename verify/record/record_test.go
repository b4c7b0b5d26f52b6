package record

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
	"quern/store"
	"quern/task"
)

var id = Identity{{"--context", "512"}, {`"a" of the checkpoint`, strings.Repeat("a", 64)}}

// quick does not wait for the disk.
var quick = &faultfs.FS{NoSync: true}

// fill makes some records and a state.
func fill(b *Book) {
	for i := range 20 {
		b.Put(fmt.Sprintf("tensor %d", i), []byte(strings.Repeat("x", i*i)))
	}
	if b.Due(100, false) {
		b.Save("layer", func(w io.Writer) error { _, err := w.Write([]byte("states")); return err })
	}
	b.Put("end", nil)
}

// check wants what is there to be what was put, the first ones.
func check(t *testing.T, b *Book) int {
	t.Helper()
	n := b.Count("tensor ")
	for i := range n {
		if got, ok := b.Get(fmt.Sprintf("tensor %d", i)); !ok || len(got) != i*i {
			t.Fatalf("record %d of %d: %q %v", i, n, got, ok)
		}
	}
	if s, size := b.Load("layer"); s != nil {
		p := make([]byte, size)
		if _, err := s.ReadAt(p, 0); err != nil && err != io.EOF || string(p) != "states" {
			t.Errorf("state %q %v", p, err)
		}
		_ = s.Close()
	}
	return n
}

// Whatever call fails, once or from then on, what is kept is a beginning of what was
// found, and a later run goes on with it. Nothing is left behind in the end.
func TestEveryCall(t *testing.T) {
	whole := &faultfs.FS{NoSync: true}
	b, _, err := Open(whole, filepath.Join(t.TempDir(), "x"), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	fill(b)
	if kept, err := b.Close(false); !kept || err != nil {
		t.Fatal(kept, err)
	}
	all := 0
	for k := range whole.Calls() {
		for _, dead := range []bool{true, false} {
			dir := filepath.Join(t.TempDir(), fmt.Sprint(k, dead))
			n := -1
			fs := &faultfs.FS{NoSync: true, Hook: func(faultfs.Call) *faultfs.Fault {
				if n++; n == k || dead && n > k {
					return &faultfs.Fault{Err: errors.New("broken")}
				}
				return nil
			}}
			if b, _, err := Open(fs, dir, id, 0); err == nil {
				fill(b)
				_, _ = b.Close(false)
			}
			if n := fs.OpenFiles(); n > 0 {
				t.Errorf("call %d: %d files stay open", k, n)
			}
			b, changed, err := Open(quick, dir, id, 0)
			if err != nil || changed != "" {
				t.Fatal(k, err, changed)
			}
			all += check(t, b)
			fill(b)
			if check(t, b) != 20 {
				t.Error(b.Count("tensor "))
			}
			if _, err := b.Close(true); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(dir); err == nil {
				names, _ := filepath.Glob(dir + "/*")
				t.Errorf("call %d: left behind: %q", k, names)
			}
		}
	}
	if all < 100 {
		t.Errorf("only %d records outlived a fault", all)
	}
}

// A log that is cut anywhere is read up to there.
func TestTorn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	b, _, err := Open(quick, dir, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	fill(b)
	_, _ = b.Close(false)
	path := filepath.Join(dir, logName+store.Partial)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for cut := 0; cut < len(raw); cut += 29 {
		torn := slices.Clone(raw[:cut])
		if cut%2 == 1 && cut > 0 { // a hole instead of an end
			torn = append(torn[:cut-1], make([]byte, 100)...)
		}
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		b, changed, err := Open(quick, dir, id, 0)
		if err != nil || changed != "" {
			t.Fatal(err, changed)
		}
		n := check(t, b)
		if n < last {
			t.Errorf("%d records of %d bytes, %d of less", n, cut, last)
		}
		last = n
		_, _ = b.Close(false)
	}
	if last < 15 {
		t.Error(last)
	}
}

// What another run has left is given up, and it is said in what that was another; a run
// that goes on at the same time is let alone.
func TestAnother(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	b, _, err := Open(quick, dir, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	fill(b)
	if _, _, err := Open(quick, dir, id, 0); !errors.Is(err, store.ErrLocked) {
		t.Error(err)
	}
	_, _ = b.Close(false)
	for _, c := range []struct {
		of   Identity
		says string
	}{
		{Identity{{"--context", "64"}, id[1]}, `--context is "512" instead of "64"`},
		{Identity{id[0], {id[1].Name, strings.Repeat("b", 64)}}, `"a" of the checkpoint is another one`},
		{Identity{id[0]}, `it has "a" of the checkpoint`},
		{append(slices.Clone(id), Field{"more", "x"}), "it has no more"},
	} {
		b, changed, err := Open(quick, dir, c.of, 0)
		if err != nil || changed != c.says || b.Len() != 0 {
			t.Errorf("%q %v", changed, err)
		}
		if s, _ := b.Load("layer"); s != nil {
			t.Error("its states are still there")
		}
		_, _ = b.Close(true)
		if b, _, err = Open(quick, dir, id, 0); err != nil { // for the next
			t.Fatal(err)
		}
		fill(b)
		_, _ = b.Close(false)
	}
}

// A run that is short keeps nothing unless it is cut, and only what nobody went on with
// for long is pruned.
func TestShortAndOld(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "x")
	b, _, err := Open(quick, dir, id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	fill(b)
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder is there")
	}
	if kept, err := b.Close(true); kept || err != nil {
		t.Error(kept, err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder is there")
	}
	if b, _, err = Open(quick, dir, id, time.Hour); err != nil {
		t.Fatal(err)
	}
	fill(b)
	if kept, err := b.Close(false); !kept || err != nil {
		t.Error(kept, err)
	}
	for _, name := range []string{"else/file", "x/mine"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(top, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	Prune(nil, top, time.Now().Add(-time.Minute))
	if b, _, err = Open(quick, dir, id, time.Hour); err != nil || check(t, b) != 20 {
		t.Error(err, b.Len())
	}
	_, _ = b.Close(false)
	Prune(nil, top, time.Now().Add(time.Minute))
	left, _ := filepath.Glob(top + "/*/*")
	if want := []string{filepath.Join(top, "else/file"), filepath.Join(top, "x/mine")}; !slices.Equal(left, want) {
		t.Errorf("%q", left)
	}
}

// Fields may have one name: texts of two folders do.
func TestSameNames(t *testing.T) {
	two := Identity{{`the text "a"`, "1"}, {`the text "a"`, "2"}}
	for _, c := range []struct {
		of   Identity
		says string
	}{
		{two, ""},
		{Identity{two[1], two[0]}, `the text "a" is "2" instead of "1"`},
		{two[:1], `it has no the text "a"`},
		{append(slices.Clone(two), two[0]), `it has the text "a"`},
	} {
		if d := two.Difference(c.of); d != c.says {
			t.Errorf("%v: %q instead of %q", c.of, d, c.says)
		}
	}
}

// Parts are read as they were written, or not at all.
func TestPart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "parts")
	b := New()
	fill(b)
	for _, i := range []int{1, 3, 4, 3} {
		p := &Part{Task: task.Task{I: i, N: 5}, Identity: id, Command: []byte(`{"x":1}`), Book: b}
		if err := WritePart(nil, dir, p); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := Parts(dir)
	if err != nil || len(paths) != 3 {
		t.Fatal(paths, err)
	}
	raw, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	spoilt := filepath.Join(t.TempDir(), "spoilt")
	for i := 0; i < len(raw); i += 13 {
		p := slices.Clone(raw)
		p[i] ^= 1
		if i%2 == 0 {
			p = raw[:i]
		}
		if err := os.WriteFile(spoilt, p, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPart(spoilt); !errors.Is(err, invalid.Input) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	var parts []*Part
	for _, path := range paths {
		p, err := ReadPart(path)
		if err != nil || string(p.Command) != `{"x":1}` || id.Difference(p.Identity) != "" {
			t.Fatal(p, err)
		}
		if check(t, p.Book) != 20 {
			t.Error(p.Book.Len())
		}
		parts = append(parts, p, p)
	}
	var missing *Missing
	if _, _, err := Merge(parts); !errors.As(err, &missing) || err.Error() != "not all there yet: tasks 2,5 of 5" {
		t.Error(err)
	}
	if done, err := Look(dir, task.Task{I: 3, N: 5}, id); !done || err != nil {
		t.Error(done, err)
	}
	if done, err := Look(dir, task.Task{I: 2, N: 5}, id); done || err != nil {
		t.Error(done, err)
	}
	if _, err := Look(dir, task.Task{I: 2, N: 5}, id[:1]); !errors.Is(err, invalid.Input) {
		t.Error(err)
	}
}
