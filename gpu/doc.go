// Package gpu does the arithmetic of block FP8, and matrix products, on whatever
// the machine has: NVIDIA cards through the CUDA driver, other cards through
// OpenCL, and the processor. None of it needs cgo; the tag nogpu leaves all but
// the processor out.
//
//	d, err := gpu.Open("auto", gpu.Options{})
//	…
//	d = gpu.WithFallback(d, log)
//	defer d.Close()
//	err = d.Quantize(codes, cols, tiles, m, o).Wait()
//
// # Same bits everywhere
//
// [Device.Amax], [Device.Scales], [Device.Quantize] and [Device.Dequantize] give
// the bits that package fp8 gives, and so the bytes and statistics of a conversion
// do not depend on where it ran. [Open] tests every device before it is used, and
// refuses one that differs. Products are sums of many float32 numbers, which no
// two libraries add alike: [Device.Mul] gives the same bits for the same arguments
// on the same device, and lies within a stated bound of the exact product.
//
// # Streaming
//
// Arguments lie in host memory and may be larger than the memory of the card. A
// call cuts them into pieces of whole tiles and sends those through a few slots,
// each with a queue of its own, so that copies in both directions and kernels
// overlap. It returns when the last piece is under way, with a [Pending] whose
// Wait says when the results are there; keep several calls under way, from one
// goroutine or many, and nothing waits for anything but the slowest part. Memory
// from [Device.NewBuffer] is read and written by the card itself; other memory is
// copied once more.
//
// # Errors
//
// An error that matches [ErrDevice] lies with the device: the arguments are as
// they were, and the same call on the processor gives the same result.
// [WithFallback] does that.
package gpu
