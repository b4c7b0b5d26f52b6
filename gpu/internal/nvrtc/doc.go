// Package nvrtc compiles CUDA C++ to PTX with NVIDIA's runtime compiler, a library
// that needs neither a driver nor a card. It is used when the project is built,
// not when it runs.
package nvrtc
