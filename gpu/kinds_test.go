package gpu_test

import (
	"slices"
	"testing"

	"quern/gpu"
)

// A kind that the binary does not have is listed as absent, never found.
func TestKinds(t *testing.T) {
	found, absent := gpu.List()
	for _, kind := range gpu.Kinds() {
		seen := slices.ContainsFunc(found, func(l gpu.Listed) bool { return l.Kind == kind }) ||
			slices.ContainsFunc(absent, func(a gpu.Absent) bool { return a.Kind == kind })
		if !seen {
			t.Errorf("%s is built in, and List does not say a word of it", kind)
		}
	}
	for _, l := range found {
		if l.Kind != "cpu" && !slices.Contains(gpu.Kinds(), l.Kind) {
			t.Errorf("%s was found and is not built in", l.Kind)
		}
	}
}
