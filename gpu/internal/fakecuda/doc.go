// Package fakecuda is a CUDA driver for tests, with a card that does not exist. It
// keeps to what the real one promises and no more: streams run by themselves, a
// context is current on one thread, handles are checked. Kernels run as PTX, see
// package ptx, or as Go code that does the same by package fp8 and is faster.
package fakecuda
