package gpu_test

import (
	"testing"

	"quern/gpu"
	"quern/gpu/gputest"
	"quern/gpu/internal/fakecuda"
)

// card returns the first card of a driver that is not there.
func card(t *testing.T, d *fakecuda.Driver) gpu.Listed {
	d.Log = func(s string) { t.Error(s) }
	found, err := d.API().Devices()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s := d.Held(); s != "" {
			t.Error("still held: ", s)
		}
	})
	return gpu.NewListed(found[0])
}

// The PTX, run by package ptx, passes the self-test: every kernel, bit for bit.
func TestPTX(t *testing.T) {
	if testing.Short() {
		t.Skip("the interpreter takes its time")
	}
	open(t, card(t, fakecuda.New(fakecuda.RunPTX)), gpu.Options{ChunkBytes: 1 << 20})
}

// The whole suite, with Go code in the place of the kernels: all of package cuda and
// what lies above it.
func TestCUDA(t *testing.T) {
	gputest.Run(t, open(t, card(t, fakecuda.New(fakecuda.Twins())), gpu.Options{ChunkBytes: 1 << 20}))
}

func TestCUDAWithLittleMemory(t *testing.T) {
	gputest.Run(t, open(t, card(t, fakecuda.New(fakecuda.Twins())), gpu.Options{DeviceMemory: 1 << 20}))
}
