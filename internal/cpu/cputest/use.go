// Package cputest chooses paths in tests.
package cputest

import (
	"testing"

	"quern/internal/cpu"
)

// Use runs the rest of a test on one path.
func Use(t testing.TB, path string) {
	t.Helper()
	old := cpu.Path()
	if err := cpu.Set(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cpu.Set(old); err != nil {
			t.Error(err)
		}
	})
}
