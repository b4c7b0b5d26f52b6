package outfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"quern/internal/blockio"
)

// Command is what a command reads and makes beside the files in question.
type Command struct {
	Reads []string // files, and folders of checkpoints; empty ones are passed over
	// Makes is the folder that the command makes, with those that it lies in; "":
	// none.
	Makes string
}

// Check looks before the work starts whether all files can be written behind it: that
// each is vacant, none is another's or something that is read, and their folders take
// files. Files without a path are passed over.
func (c Command) Check(files ...File) error {
	taken := map[string]File{}
	for _, f := range files {
		if f.Path == "" {
			continue
		}
		if f.Path == "-" {
			return f.usage("it is written beside what goes to standard output; name a file")
		}
		if err := c.apart(f); err != nil {
			return err
		}
		if err := f.Vacant(); err != nil {
			return err
		}
		for _, suffix := range append([]string{""}, f.Kind.beside...) {
			name := resolve(f.Path + suffix)
			if g, ok := taken[name]; ok {
				return f.usage("%s is written there", g)
			}
			taken[name] = f
		}
	}
	for _, f := range files {
		if f.Path == "" {
			continue
		}
		if err := c.writable(f); err != nil {
			return err
		}
	}
	return nil
}

// apart refuses a file that the command reads, or that lies in a folder which it reads:
// that of a checkpoint holds the checkpoint alone.
func (c Command) apart(f File) error {
	at, name := resolve(f.Path), filepath.Base(f.Path)
	for _, in := range c.Reads {
		st, err := os.Stat(in)
		if in == "" || err != nil {
			continue
		}
		out, err := os.Stat(f.Path)
		switch {
		case err == nil && os.SameFile(st, out):
			return f.usage("the same command reads it")
		case st.IsDir() && within(at, resolve(in)):
			return f.usage("it lies in %q, which is read; choose a place outside, such as %q", in, filepath.Join(filepath.Dir(filepath.Clean(in)), name))
		}
	}
	return nil
}

// writable looks whether the file's folder is there and takes files.
func (c Command) writable(f File) error {
	dir := filepath.Dir(f.Path)
	st, err := os.Stat(dir)
	if err != nil && c.Makes != "" && within(resolve(c.Makes), resolve(dir)) {
		return nil // made with the output folder
	}
	if err != nil || !st.IsDir() {
		return f.invalid("there is no folder %q", dir)
	}
	if err := Probe(dir); err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	return nil
}

// Probe looks whether a folder takes files.
func Probe(dir string) error {
	probe, err := os.CreateTemp(dir, ".quern-*"+blockio.Partial)
	if err != nil {
		if p := (*os.PathError)(nil); errors.As(err, &p) {
			err = p.Err // without the name of the probe
		}
		return fmt.Errorf("the folder %q takes no files: %w", dir, err)
	}
	_ = probe.Close()
	return os.Remove(probe.Name())
}

// resolve is a path without links, as far as it is there.
func resolve(path string) string {
	full, err := filepath.Abs(path)
	if err != nil {
		return filepath.Clean(path)
	}
	rest := ""
	for dir := full; ; dir = filepath.Dir(dir) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(real, rest)
		}
		if dir == filepath.Dir(dir) {
			return full
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}

// within reports whether a resolved path is dir or lies in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
