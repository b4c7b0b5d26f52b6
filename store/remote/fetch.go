package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"golang.org/x/sync/errgroup"

	"quern/internal/invalid"
	"quern/store"
)

// worth is what a try must bring to count as progress, so that a connection that drips
// ends some time.
const worth = 64 << 10

var errShort = errors.New("the connection was closed before all was sent")

// fill fetches the bytes from off into p with as many tries as it takes.
func (o *Object) fill(ctx context.Context, p []byte, off int64) error {
	t := tries{patience: o.reader.Patient}
	for got := 0; ; {
		n, err := o.once(ctx, p[got:], off+int64(got))
		got += n
		if got == len(p) {
			return nil
		}
		if n >= worth {
			t.progress()
		}
		if err == nil {
			err = TryAgain(errShort, 0)
		}
		if cause := context.Cause(o.ctx); cause != nil {
			return cause
		}
		if err := t.wait(ctx, err); err != nil {
			return o.failed(err)
		}
	}
}

// failed names the file before an error, and remembers what cannot become better.
func (o *Object) failed(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		err = invalid.Errorf("%w: it is gone", store.ErrChanged)
	}
	if errors.Is(err, invalid.Input) {
		err = invalid.Errorf("reading %q: %w", o.file.Name, err)
		o.cancel(err)
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("reading %q: %w", o.file.Name, err)
}

// once makes one try and returns how many bytes it brought.
func (o *Object) once(ctx context.Context, p []byte, off int64) (int, error) {
	done, err := o.reader.slot(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := TryAgain(fmt.Errorf("nothing came for %v", o.file.Idle), 0)
	watch := time.AfterFunc(o.file.Idle, func() { cancel(stalled) })
	defer watch.Stop()
	body, err := o.source.Get(ctx, off, int64(len(p)))
	n := 0
	if err == nil {
		defer func() { _ = body.Close() }()
		for n < len(p) && err == nil {
			watch.Reset(o.file.Idle)
			var k int
			k, err = body.Read(p[n:])
			n += k
		}
		switch {
		case errors.Is(err, io.EOF):
			err = nil
		case err != nil && !errors.Is(err, invalid.Input):
			err = TryAgain(fmt.Errorf("the connection was lost: %w", err), 0)
		}
	}
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	return n, err
}

// ranges fetches the bytes from off into p, in ranges at once.
func (o *Object) ranges(ctx context.Context, p []byte, off int64) error {
	if len(p) <= block {
		return o.fill(ctx, p, off)
	}
	g, ctx := errgroup.WithContext(ctx)
	for at := 0; at < len(p); at += block {
		g.Go(func() error {
			return o.fill(ctx, p[at:min(at+block, len(p))], off+int64(at))
		})
	}
	return g.Wait()
}
