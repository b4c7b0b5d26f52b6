// Generate makes quern.ptx of the kernels' source. Where NVRTC is not installed, or
// is another release than the one that made the file, it leaves the file as it is
// and says so: releases differ in the order of instructions.
//
//	QUERN_NVRTC=/path/to/libnvrtc.so.11.2 go generate ./gpu/kernels
//
// With -any it takes whatever release there is.
package main

import (
	"flag"
	"fmt"
	"os"

	"quern/gpu/internal/nvrtc"
	"quern/gpu/kernels"
)

func main() {
	anyRelease := flag.Bool("any", false, "take any release of NVRTC")
	flag.Parse()
	c, err := nvrtc.Open()
	if err != nil {
		fmt.Fprintf(os.Stderr, "quern.ptx stays as it is: no NVRTC here: %v\n", err)
		return
	}
	ptx, err := c.Compile(kernels.Source(), "quern.cu", kernels.NVRTCOptions...)
	if err == nil {
		ptx, err = kernels.Finish(ptx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if have, want := kernels.Release(ptx), kernels.Release(kernels.PTX); have != want && want != "" && !*anyRelease {
		fmt.Fprintf(os.Stderr, "quern.ptx stays as it is: it was made by %q, this is %q\n", want, have)
		return
	}
	if err := os.WriteFile("quern.ptx", []byte(ptx), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
