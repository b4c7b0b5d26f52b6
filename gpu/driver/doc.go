// Package driver is what package gpu asks of a compute API: find devices, hold
// memory on both sides, and run copies and kernels in order on queues. Backends
// implement it (packages cuda and opencl); everything above, such as cutting
// matrices into pieces and overlapping copies with kernels, is written once, in
// package gpu.
package driver
