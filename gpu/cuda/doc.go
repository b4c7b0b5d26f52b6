// Package cuda runs the kernels of package gpu on NVIDIA cards through the CUDA
// driver, which it looks for at run time. It needs no CUDA toolkit.
package cuda
