package driver

import (
	"errors"
	"fmt"
)

// ErrDevice matches every error that lies with a device and not with its
// caller's arguments: the same work can be done elsewhere.
var ErrDevice = errors.New("device")

// ErrMemory matches the errors among them that say that memory is short.
var ErrMemory = errors.New("out of device memory")

// Error is a call of a compute API that did not succeed. It matches [ErrDevice],
// and [ErrMemory] where Memory is set.
type Error struct {
	Call   string // the API's name of the call
	Code   int    // what it returned
	Name   string // the API's name of that
	Memory bool   // memory is short
	Log    string // what a compiler said
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s (%d)", e.Call, e.Name, e.Code)
	if e.Log != "" {
		s += ": " + e.Log
	}
	return s
}

// Is matches the classes of errors.
func (e *Error) Is(target error) bool {
	return target == ErrDevice || target == ErrMemory && e.Memory
}
