// Package outfile decides which paths quern may write a single file to.
//
// The rule: nothing that quern did not write is overwritten or removed. A path may be
// new, or hold a file of the same kind that quern wrote, which its first bytes tell, or
// an empty one, as mktemp makes them. Everything else (other files, links, folders,
// devices, what the same command reads) is refused before the work starts, with the
// flag that named it.
package outfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"quern/internal/blockio"
	"quern/internal/invalid"
)

// Kind is a kind of file that quern writes and recognises.
type Kind struct {
	name   string
	skip   int    // bytes in front of prefix
	prefix string // what such a file begins with
	mark   string // what stands within the first head bytes
	// beside are the suffixes of the files that it grows in.
	beside []string
}

// head is how much of a file is looked at. Metadata come first in the headers that
// quern writes, with their keys in order: the marks stand before long lists of texts.
const head = 4096

// What is written begins so, and says so.
const (
	metadata = `{"__metadata__":{`
	htmlMark = `<meta name="generator" content="quern`
	jsonMark = "{\n  \"tool\": \"quern"
)

// The kinds.
var (
	Calibration = Kind{"a calibration", 8, metadata, `"quern_calibration":`, []string{blockio.Partial, ".state" + blockio.Partial, ".hidden" + blockio.Partial}}
	Trace       = Kind{"a routing trace", 8, metadata, `"quern_trace":`, []string{blockio.Partial}}
	Outputs     = Kind{"an outputs file", 8, metadata, `"producer":"quern"`, []string{blockio.Partial}}
	Page        = Kind{"a report", 0, "<!DOCTYPE html>", htmlMark, []string{blockio.Partial}}
	JSON        = Kind{"a result", 0, jsonMark, "", []string{blockio.Partial}}

	// state is the log of a calibration under way: a digest, then what the run is.
	state = Kind{"", 17, `{"run":`, "", nil}
)

// File is a path that something is to be written to.
type File struct {
	Flag string // that names it, for errors; may be empty
	Path string // "": there is none
	Kind Kind
}

// UsageError is a path that makes no sense beside the others of the command.
type UsageError struct{ message string }

func (e *UsageError) Error() string { return e.message }

func (f File) usage(format string, args ...any) error {
	return &UsageError{f.String() + ": " + fmt.Sprintf(format, args...)}
}

func (f File) invalid(format string, args ...any) error {
	return invalid.Errorf("%s: %s", f, fmt.Sprintf(format, args...))
}

// String names f in errors.
func (f File) String() string { return strings.TrimSpace(fmt.Sprintf("%s %q", f.Flag, f.Path)) }

// Vacant reports whether f may be written: nothing is at its path, or what may be
// replaced, and its folder is there. Errors match invalid.Input, but for those of
// the system.
func (f File) Vacant() error {
	if f.Path == "" {
		return nil
	}
	if strings.HasSuffix(f.Path, "/") || strings.HasSuffix(f.Path, string(filepath.Separator)) {
		return f.invalid("this is the name of a folder, not of a file")
	}
	if err := f.free(f.Path, f.Kind.wrote); err != nil {
		return err
	}
	for _, suffix := range f.Kind.beside {
		if err := f.free(f.Path+suffix, f.unfinished); err != nil {
			return err
		}
	}
	return nil
}

// free refuses a name at which something lies that quern did not write.
func (f File) free(name string, ours func(name string) (bool, error)) error {
	there := ""
	if name != f.Path {
		there = fmt.Sprintf("it grows in %q, but ", name)
	}
	st, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", f, err)
	case st.Mode()&fs.ModeSymlink != 0:
		to, _ := os.Readlink(name)
		return f.invalid("%sthat is a link to %q, and quern replaces no links; name a file", there, to)
	case st.IsDir():
		return f.invalid("%sthat is a folder, not a regular file", there)
	case !st.Mode().IsRegular():
		return f.invalid("%sthat is not a regular file", there)
	case st.Size() == 0:
		return nil
	}
	own, err := ours(name)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", f, err)
	case !own:
		return f.invalid("%sthere is a file that quern did not write as %s, and it replaces no others; choose another name, or move it away", there, f.Kind.name)
	}
	return nil
}

// wrote reports whether the file begins as those of this kind that quern writes.
func (k Kind) wrote(name string) (bool, error) {
	start, err := start(name)
	return k.begins(start), err
}

func (k Kind) begins(start []byte) bool {
	return len(start) > k.skip && bytes.HasPrefix(start[k.skip:], []byte(k.prefix)) && bytes.Contains(start, []byte(k.mark))
}

// unfinished is wrote of a file that f grows in. What a crash has left of one is
// nothing, or zeros. Hidden states have no form of their own: they belong to the log
// beside them, or are what a crash has left beside the finished file.
func (f File) unfinished(name string) (bool, error) {
	kind := f.Kind
	if name != f.Path+blockio.Partial {
		name, kind = f.Path+f.Kind.beside[1], state
	}
	start, err := start(name)
	if errors.Is(err, fs.ErrNotExist) {
		if own, err := f.Kind.wrote(f.Path); !errors.Is(err, fs.ErrNotExist) {
			return own, err
		}
		return false, nil
	}
	return err == nil && (kind.begins(start) || len(bytes.Trim(start, "\x00")) == 0), err
}

// start is what a file begins with.
func start(name string) ([]byte, error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	buf := make([]byte, head)
	n, err := io.ReadFull(in, buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return buf[:n], err
}

// Write puts data into f, whole or not at all, if it is still vacant.
func (f File) Write(data []byte) error {
	if err := f.Vacant(); err != nil {
		return err
	}
	if err := blockio.WriteFile(blockio.OS, f.Path, data); err != nil {
		return fmt.Errorf("writing %q: %w", f.Path, err)
	}
	return nil
}

// MarkJSON puts the mark of quern, with its version, in front of an object that was
// marshaled with two spaces of indentation.
func MarkJSON(version string, object []byte) []byte {
	rest, _ := bytes.CutPrefix(object, []byte("{"))
	if bytes.HasPrefix(bytes.TrimSpace(rest), []byte("}")) {
		return []byte(jsonMark + " " + version + "\"\n}")
	}
	return append([]byte(jsonMark+" "+version+"\","), rest...)
}
