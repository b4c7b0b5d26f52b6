// Package dynlib loads shared libraries at run time and binds tables of their
// functions, without cgo.
package dynlib
