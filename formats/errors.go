// Package formats holds what the readers of all on-disk formats share: how they
// say that an input is at fault.
//
// A reader never guesses: what it cannot read exactly it refuses, with an error
// that satisfies errors.Is(err, ErrInvalid). Errors of the machine (a disk that
// fails, a permission) do not satisfy it, so that callers can tell "your
// checkpoint is broken" from "your disk is broken".
package formats

import (
	"errors"
	"fmt"
)

// ErrInvalid is matched (by errors.Is) by every error that blames the input:
// malformed, inconsistent, or in a form that is not supported.
var ErrInvalid = errors.New("invalid or unsupported input")

// invalid carries a message of its own and matches ErrInvalid.
type invalid struct{ err error }

func (e *invalid) Error() string        { return e.err.Error() }
func (e *invalid) Unwrap() error        { return e.err }
func (e *invalid) Is(target error) bool { return target == ErrInvalid }

// Invalidf is fmt.Errorf whose result matches ErrInvalid.
func Invalidf(format string, args ...any) error {
	return &invalid{fmt.Errorf(format, args...)}
}
