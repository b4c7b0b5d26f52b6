// Package ptx reads PTX and runs it, for tests: so the CUDA kernels are held
// against package fp8 where there is no card.
//
// It knows the instructions that our kernels use, as the PTX ISA manual defines
// them, and refuses others. Beside the results it looks for what cards do not
// tell: accesses beyond a buffer, misaligned ones, words of shared memory that are
// read before they are written, and two threads that touch one between two
// barriers, of which one writes.
package ptx
