//go:build !nogpu && linux && (amd64 || arm64)

package cuda_test

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"quern/gpu/cuda"
	"quern/gpu/driver"
	"quern/gpu/kernels"
)

// stub builds a libcuda from testdata/stub.c, of the functions that are left when
// without is taken away.
func stub(t *testing.T, without string) string {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler here: ", err)
	}
	lib := filepath.Join(t.TempDir(), "libcuda.so")
	args := []string{"-shared", "-fPIC", "-o", lib, "testdata/stub.c"}
	if without != "" {
		args = append(args, "-D"+without+"=some_other_name")
	}
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return lib
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// All functions are found by their names, and get and return what they should.
func TestStub(t *testing.T) {
	api, err := cuda.Load(stub(t, ""))
	check(t, err)
	found, err := api.Devices()
	check(t, err)
	if len(found) != 2 || found[0].Info.Name != "Stub" || found[0].Info.Memory != 80<<30 || found[0].Info.Units != 132 || !strings.HasPrefix(found[0].Info.Driver, "CUDA 12.2") {
		t.Fatalf("%+v", found)
	}
	if err := found[1].Refused; err == nil || !strings.Contains(err.Error(), "compute capability is 5.0") {
		t.Errorf("the second device: %v", err)
	}
	d, err := found[0].Open()
	check(t, err)
	check(t, d.Build(false))
	if d.Info().Free != 79<<30 {
		t.Errorf("%+v", d.Info())
	}
	const n = 1000
	src, err := d.NewBuffer(16*n + 16)
	check(t, err)
	dst, err := d.NewBuffer(16 * n)
	check(t, err)
	host, err := d.NewHost(16 * n)
	check(t, err)
	for i := range host {
		host[i] = byte(i * i >> 8)
	}
	want := bytes.Clone(host)
	q, err := d.NewQueue()
	check(t, err)
	check(t, q.Write(src, 0, host[:160]))
	check(t, q.Write(src, 160, host[160:]))
	check(t, q.Launch(kernels.Copy, (n+255)/256, driver.Arg{Buffer: src}, driver.Arg{Buffer: dst}, driver.Arg{Value: n}))
	clear(host)
	check(t, q.Read(host, dst))
	e, err := q.Record()
	check(t, err)
	check(t, errors.Join(e.Wait(), e.Free(), q.Finish()))
	if !bytes.Equal(host, want) {
		t.Error("other bytes come back")
	}
	err = q.Launch(kernels.Probe, 1, driver.Arg{Buffer: src})
	var of *driver.Error
	if !errors.As(err, &of) || of.Name != "CUDA_ERROR_INVALID_VALUE" || of.Call != "cuLaunchKernel" {
		t.Errorf("error %v", err)
	}
	check(t, errors.Join(q.Free(), d.FreeHost(host), src.Free(), dst.Free(), d.Close()))
}

// What the driver's compiler says is in the error.
func TestStubBuildLog(t *testing.T) {
	t.Setenv("STUB_BAD_IMAGE", "1")
	api, err := cuda.Load(stub(t, ""))
	check(t, err)
	found, err := api.Devices()
	check(t, err)
	d, err := found[0].Open()
	check(t, err)
	if err := d.Build(false); err == nil || !strings.Contains(err.Error(), "CUDA_ERROR_NO_BINARY_FOR_GPU (209): ptxas fatal: not on a stub") {
		t.Errorf("error %v", err)
	}
	check(t, d.Close())
}

// A library that lacks a function, or is no library, is named with the reason.
func TestStubLacksFunction(t *testing.T) {
	lib := stub(t, "cuEventRecord")
	if _, err := cuda.Load(lib); err == nil || !strings.Contains(err.Error(), lib+" has no cuEventRecord") {
		t.Errorf("error %v", err)
	}
	if _, err := cuda.Load("libcuda-that-is-not-there.so"); err == nil || !strings.Contains(err.Error(), "no CUDA driver: ") {
		t.Errorf("error %v", err)
	}
}
