package remote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// tryAgain is an error after which another try makes sense.
type tryAgain struct {
	err   error
	after time.Duration
}

func (e *tryAgain) Error() string { return e.err.Error() }
func (e *tryAgain) Unwrap() error { return e.err }

// TryAgain marks an error after which another try makes sense, not before a time has
// passed, which is what the server asked for or 0.
func TryAgain(err error, after time.Duration) error { return &tryAgain{err, after} }

// IsTemporary reports whether an error was made by TryAgain.
func IsTemporary(err error) bool {
	var e *tryAgain
	return errors.As(err, &e)
}

// longestWait bounds what a server may ask for. Hubs count requests in windows of five
// minutes and ask to wait for the next one.
const longestWait = 6 * time.Minute

// Patience says how tries follow one another.
type Patience struct {
	Tries int           // how many in a row may bring nothing
	First time.Duration // the pause after the first; it doubles
	Most  time.Duration // and ends here
}

// Two kinds: an answer that a person waits for, and the middle of a long transfer.
var (
	brief   = Patience{Tries: 5, First: 300 * time.Millisecond, Most: 5 * time.Second}
	patient = Patience{Tries: 10, First: 500 * time.Millisecond, Most: 30 * time.Second}
)

// Do calls f until it succeeds, ends with an error that is not worth another try, or
// patience ends.
func (p Patience) Do(ctx context.Context, f func() error) error {
	for t := (tries{patience: p}); ; {
		err := f()
		if err == nil {
			return nil
		}
		if err := t.wait(ctx, err); err != nil {
			return err
		}
	}
}

// tries counts the tries that brought nothing.
type tries struct {
	patience Patience
	failed   int
}

// progress says that a try brought something, though it may have failed in the end.
func (t *tries) progress() { t.failed = 0 }

// wait waits until another try may be made. It returns the error that ends the tries,
// which is err if another would make no sense.
func (t *tries) wait(ctx context.Context, err error) error {
	again := (*tryAgain)(nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !errors.As(err, &again) {
		return err
	}
	if again.after > longestWait {
		return fmt.Errorf("%w; the server asks to wait %v", err, again.after.Round(time.Second))
	}
	if t.failed++; t.failed >= t.patience.Tries {
		return fmt.Errorf("%w (%d tries)", err, t.failed)
	}
	// Half of the pause is chance, so that many tasks that fail at once do not come
	// back at once.
	pause := min(t.patience.First<<min(t.failed-1, 20), t.patience.Most)
	pause = pause/2 + rand.N(pause/2+1)
	if again.after > 0 {
		pause = again.after + rand.N(pause+1)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
