package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"quern/internal/blockio"
	"quern/internal/invalid"
)

// MaxEntries bounds what a folder may hold, so that one given by mistake (a home
// folder) ends with a message.
const MaxEntries = 100_000

// ErrChanged is matched, beside invalid.Input, by the error of a file that is no longer
// what it was when it was opened.
var ErrChanged = errors.New("changed while it was read")

// Path is what people call a file of a folder, there or not.
func Path(f Folder, name string) string {
	if l, ok := f.(interface {
		path(name string) (string, error)
	}); ok {
		if path, err := l.path(name); err == nil {
			return path
		}
	}
	return f.String() + "/" + name
}

// ReadAll reads an object whole. One that does not end where it did when it was
// opened matches invalid.Input. Bound its Size first.
func ReadAll(o Object) ([]byte, error) {
	// One byte beyond the size, to see that it ends there.
	data := make([]byte, o.Size()+1)
	n, err := o.ReadAt(data, 0)
	switch {
	case err != nil && err != io.EOF:
		return nil, fmt.Errorf("reading %q: %w", o, err)
	case int64(n) != o.Size():
		return nil, invalid.Errorf("%s: %w", o, ErrChanged)
	}
	return data[:n], nil
}

// ReadFile reads a small file of a folder whole. One of more than most bytes matches
// invalid.Input; what is not there is fs.ErrNotExist.
func ReadFile(ctx context.Context, f Folder, name string, most int64) ([]byte, error) {
	o, err := openSmall(ctx, f, name, most)
	if err != nil {
		return nil, err
	}
	defer func() { _ = o.Close() }()
	return ReadAll(o)
}

// openSmall opens a file of no more than most bytes.
func openSmall(ctx context.Context, f Folder, name string, most int64) (Object, error) {
	o, err := f.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	if o.Size() > most {
		_ = o.Close()
		return nil, invalid.Errorf("reading %q: %d bytes, more than %d", name, o.Size(), most)
	}
	return o, nil
}

// ReadSoFar reads what a file had when it was opened, and does not mind that it grows
// or ends earlier meanwhile: of the log of a process that is at work. Otherwise it is
// [ReadFile].
func ReadSoFar(ctx context.Context, f Folder, name string, most int64) ([]byte, error) {
	o, err := openSmall(ctx, f, name, most)
	if err != nil {
		return nil, err
	}
	defer func() { _ = o.Close() }()
	data := make([]byte, o.Size())
	n, err := io.ReadFull(io.NewSectionReader(o, 0, o.Size()), data)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("reading %q: %w", o, err)
	}
	return data[:n], nil
}

// Uncached asks that large reads and writes of an [Object] or a [Part] leave no pages
// behind in the page cache that were not there before, where its store has one and
// can do that. A part must not be empty. It reports whether x lies on this machine,
// where several reads at once serve a disk best; other stores read ahead by
// themselves, for one who reads from front to back.
func Uncached(x any) (here bool) {
	u, here := x.(interface{ Uncached() bool })
	if here {
		u.Uncached()
	}
	return here
}

// Cached reports whether a range of an [Object] is in the memory of this machine.
func Cached(o Object, offset, n int64) bool {
	c, ok := o.(interface{ Cached(offset, n int64) bool })
	return ok && c.Cached(offset, n)
}

// Copy puts a file of the given size under a name of a sink, whole or not at all. One
// of another size, or that changes meanwhile, matches invalid.Input. It reads and
// writes in plain calls: copy_file_range, which io.Copy would take, was measured at a
// third of the speed and has truncated files on some kernels.
func Copy(ctx context.Context, to Sink, from Folder, name string, size int64) error {
	in, err := from.Open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if in.Size() != size {
		return invalid.Errorf("reading %q: %w: %d bytes instead of %d", in, ErrChanged, in.Size(), size)
	}
	out, err := to.Create(ctx, name)
	if err != nil {
		return err
	}
	buf := make([]byte, min(max(size, 1), 1<<20))
	for off := int64(0); off < size; {
		n := min(int64(len(buf)), size-off)
		if err := blockio.ReadFull(in, buf[:n], off); err != nil {
			out.Discard()
			if err == io.ErrUnexpectedEOF {
				return invalid.Errorf("reading %q: %w: fewer than %d bytes", in, ErrChanged, size)
			}
			return fmt.Errorf("reading %q: %w", in, err)
		}
		if err := blockio.WriteFull(out, buf[:n], off); err != nil {
			out.Discard()
			return fmt.Errorf("writing %q: %w", out, err)
		}
		off += n
	}
	return out.Commit()
}

// WriteFile puts data under a name of a sink: whole or not at all.
func WriteFile(ctx context.Context, to Sink, name string, data []byte) error {
	f, err := to.Create(ctx, name)
	if err != nil {
		return err
	}
	if err := blockio.WriteFull(f, data, 0); err != nil {
		f.Discard()
		return fmt.Errorf("writing %q: %w", f, err)
	}
	return f.Commit()
}
