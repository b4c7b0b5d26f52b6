// Package faults puts failures into tables of C functions, for tests.
package faults

import (
	"reflect"
	"strings"
)

// Wrap puts before in front of every function of the struct that table points to.
// It is told the name in the tag `sym`; where it returns a code that is not 0, the
// function returns that: as its result, or through its last argument where that is
// a *int32, as OpenCL has it. It does not do what it is there for then, but for
// functions that give something back: those do, so that what is still held at the
// end is what nobody tried to give back.
func Wrap(table any, before func(name string) int32) {
	t := reflect.ValueOf(table).Elem()
	for i := range t.NumField() {
		name := t.Type().Field(i).Tag.Get("sym")
		inner := reflect.ValueOf(t.Field(i).Interface())
		typ := inner.Type()
		t.Field(i).Set(reflect.MakeFunc(typ, func(args []reflect.Value) []reflect.Value {
			code := before(name)
			if code == 0 {
				return inner.Call(args)
			}
			if Releases(name) {
				inner.Call(args)
			}
			out := reflect.New(typ.Out(0)).Elem()
			if last := len(args) - 1; args[last].Type() == reflect.TypeFor[*int32]() && out.Kind() != reflect.Int32 {
				args[last].Elem().SetInt(int64(code))
			} else {
				out.SetInt(int64(code))
			}
			return []reflect.Value{out}
		}))
	}
}

// Releases says whether a function of that name gives something back.
func Releases(name string) bool {
	for _, s := range []string{"Free", "Release", "Destroy", "Unload", "Unmap"} {
		if strings.Contains(name, s) {
			return true
		}
	}
	return false
}
