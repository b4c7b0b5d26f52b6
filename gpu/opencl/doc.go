// Package opencl runs the kernels of package gpu through OpenCL 1.2, whose loader
// it looks for at run time: cards of AMD, Intel and NVIDIA, Apple's, and PoCL on
// the processor.
package opencl
