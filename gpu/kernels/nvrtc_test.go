//go:build !nogpu && (linux || darwin || windows) && (amd64 || arm64)

package kernels_test

import (
	"testing"

	"quern/gpu/internal/nvrtc"
	"quern/gpu/internal/ptx"
	"quern/gpu/kernels"
)

// The compiler makes the file again, where it is installed.
func TestGenerate(t *testing.T) {
	c, err := nvrtc.Open()
	if err != nil {
		t.Skip("no NVRTC here: ", err)
	}
	made, err := c.Compile(kernels.Source(), "quern.cu", kernels.NVRTCOptions...)
	if err != nil {
		t.Fatal(err)
	}
	if made, err = kernels.Finish(made); err != nil {
		t.Fatal(err)
	}
	if have, want := kernels.Release(made), kernels.Release(kernels.PTX); have != want {
		m, err := ptx.Parse(made)
		if err != nil || len(m.Entries) != len(kernels.All) {
			t.Fatal(err, len(m.Entries))
		}
		t.Skipf("it compiles; quern.ptx was made by %q, this is %q", want, have)
	}
	if made != kernels.PTX {
		t.Error("quern.ptx is not what the compiler makes: go generate ./gpu/kernels")
	}
}
