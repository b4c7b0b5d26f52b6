// Command vec writes the kernels of package vec.
package main

import (
	"slices"

	"generate/wide"
)

func main() {
	wide.Write("vec", "../vec/kernels", slices.Concat(linear, extrema, exponentials, gates, rotations, rounding, expSums, energies))
}
