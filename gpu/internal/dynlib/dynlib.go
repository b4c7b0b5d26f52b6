//go:build !nogpu && (linux || darwin || windows) && (amd64 || arm64)

package dynlib

import (
	"fmt"
	"reflect"

	"github.com/ebitengine/purego"
)

// Library is a loaded library. It stays loaded.
type Library struct {
	Name   string
	handle uintptr
}

// Open loads the first of the named libraries that can be loaded. The error is
// that of the first name.
func Open(names ...string) (*Library, error) {
	var first error
	for _, name := range names {
		h, err := open(name)
		if err == nil {
			return &Library{Name: name, handle: h}, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// Bind sets the fields of the struct that table points to, which are functions
// with the C signature of what their tag `sym` names. The error names the first
// function that the library does not have.
func (l *Library) Bind(table any) error {
	t := reflect.ValueOf(table).Elem()
	for i := range t.NumField() {
		name := t.Type().Field(i).Tag.Get("sym")
		addr, err := l.symbol(name)
		if err != nil {
			return fmt.Errorf("%s has no %s: %w", l.Name, name, err)
		}
		purego.RegisterFunc(t.Field(i).Addr().Interface(), addr)
	}
	return nil
}
