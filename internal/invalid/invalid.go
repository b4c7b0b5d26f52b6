// Package invalid is the class of errors that blame the input.
//
// A reader never guesses: what it cannot read exactly it refuses, with an error
// that satisfies errors.Is(err, invalid.Input). Errors of the machine (a disk that
// fails, a permission) do not satisfy it, so that callers can tell "your
// checkpoint is broken" from "your disk is broken".
package invalid

import (
	"errors"
	"fmt"
)

// Input is matched (by errors.Is) by every error that blames the input:
// malformed, inconsistent, or in a form that is not supported.
//
//lint:ignore ST1012 invalid.Input says it with the name of the package
var Input = errors.New("invalid or unsupported input")

// blame carries a message of its own and matches Input.
type blame struct{ err error }

func (e *blame) Error() string        { return e.err.Error() }
func (e *blame) Unwrap() error        { return e.err }
func (e *blame) Is(target error) bool { return target == Input }

// Errorf is fmt.Errorf whose result matches Input.
func Errorf(format string, args ...any) error {
	return &blame{fmt.Errorf(format, args...)}
}
