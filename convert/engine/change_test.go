package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"quern/convert/engine"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
)

// chtimes moves a file's time of change by some milliseconds.
func chtimes(path string, ms int) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Chtimes(path, time.Time{}, st.ModTime().Add(time.Duration(ms)*time.Millisecond))
}

// The input is written to while it is read. That is noticed before what was
// made from it gets its final name; what was made from other files stays.
func TestInputChangesDuringTheRun(t *testing.T) {
	steady(t)
	for what, change := range map[string]func(path string) error{
		"touched": func(p string) error { return chtimes(p, 1) },
		"written": func(p string) error {
			f, err := os.OpenFile(p, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte{1, 2, 3}, 5000); err != nil {
				return err
			}
			return chtimes(p, 1) // a clock that is finer than some systems'
		},
		"cut":   func(p string) error { return os.Truncate(p, 5000) },
		"grown": func(p string) error { return os.Truncate(p, 1<<20) },
	} {
		in := filepath.Join(temp(t), "in")
		restore(t, in, folder(t, tiny()))
		ck, p := mustOpen(t, in, tinyShard)
		file := ck.Files[len(ck.Files)-2]
		var once sync.Once
		out := filepath.Join(temp(t), "out")
		fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
			if c.Kind == faultfs.Read && c.Name == file.Path && c.N == 4 { // the header is the first
				once.Do(func() {
					if err := change(file.Path); err != nil {
						t.Error(err)
					}
				})
			}
			return nil
		}}
		_, err := start(ck, p, out, on(fsys))
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), file.Name) {
			t.Errorf("%s: %v", what, err)
		}
		if n := fsys.OpenFiles(); n != 0 {
			t.Errorf("%s: %d files are open", what, n)
		}
		files := folder(t, out)
		onlyFinished(t, what, files, tinyClean())
		if files[engine.StateName] == "" || shardsIn(files) == 0 {
			t.Errorf("%s: what was finished is gone: %v", what, names(files))
		}
	}
}

// A file that is replaced by another of the same name (as downloads do) while
// it is open is still the one that was planned with.
func TestInputReplacedWhileOpen(t *testing.T) {
	in := filepath.Join(temp(t), "in")
	restore(t, in, folder(t, tiny()))
	ck, p := mustOpen(t, in, tinyShard)
	file := ck.Files[len(ck.Files)-2]
	var once sync.Once
	fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
		if c.Kind == faultfs.Read && c.Name == file.Path && c.N == 4 {
			once.Do(func() {
				if err := os.WriteFile(file.Path+".new", []byte("another"), 0o644); err != nil {
					t.Error(err)
				}
				if err := os.Rename(file.Path+".new", file.Path); err != nil {
					t.Error(err)
				}
			})
		}
		return nil
	}}
	sameFiles(t, "replaced", convertTo(t, ck, p, filepath.Join(temp(t), "out"), on(fsys)), tinyClean())
}
