package cuda

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"quern/gpu/driver"
	"quern/gpu/kernels"
)

// Devices returns the devices that the driver shows.
func (a *API) Devices() ([]driver.Found, error) {
	switch code := a.Init(0); code {
	case success:
	case noDevice:
		return nil, errors.New("the CUDA driver finds no device (CUDA_ERROR_NO_DEVICE)")
	case stubLibrary:
		return nil, errors.New("the CUDA library that was found is a stub for linking (CUDA_ERROR_STUB_LIBRARY)")
	case mismatch:
		return nil, errors.New("the CUDA library and the kernel module differ in version; a reboot helps after an update (CUDA_ERROR_SYSTEM_DRIVER_MISMATCH)")
	default:
		return nil, a.check("cuInit", code)
	}
	var version, n int32
	if err := a.check("cuDriverGetVersion", a.DriverGetVersion(&version)); err != nil {
		return nil, err
	}
	if err := a.check("cuDeviceGetCount", a.DeviceGetCount(&n)); err != nil {
		return nil, err
	}
	var found []driver.Found
	for i := range n {
		d := description{api: a, info: driver.Info{Kind: "cuda", Index: int(i), IsGPU: true, FMA: true, Driver: driverName(version)}}
		f := driver.Found{Refused: d.describe(i, version)}
		if f.Refused == nil {
			f.Open = d.open
		}
		f.Info = d.info
		found = append(found, f)
	}
	return found, nil
}

// driverName names the driver by the newest CUDA that it knows and, where the
// system tells it, by its own version.
func driverName(version int32) string {
	name := fmt.Sprintf("CUDA %d.%d", version/1000, version%1000/10)
	if b, err := os.ReadFile("/sys/module/nvidia/version"); err == nil {
		name += ", NVIDIA " + strings.TrimSpace(string(b))
	}
	return name
}

// description is what the driver says of a device.
type description struct {
	api    *API
	device int32
	info   driver.Info
	sm     int // compute capability, 60 for 6.0
}

// describe fills it in, and returns why the device cannot be used.
func (d *description) describe(ordinal, version int32) error {
	a := d.api
	if err := a.check("cuDeviceGet", a.DeviceGet(&d.device, ordinal)); err != nil {
		return err
	}
	name := make([]byte, 256)
	if err := a.check("cuDeviceGetName", a.DeviceGetName(&name[0], int32(len(name)-1), d.device)); err != nil {
		return err
	}
	d.info.Name, _, _ = strings.Cut(string(name), "\x00")
	var total uintptr
	if err := a.check("cuDeviceTotalMem", a.DeviceTotalMem(&total, d.device)); err != nil {
		return err
	}
	d.info.Memory = int64(total)
	var units, mode, major, minor int32
	for _, q := range []struct {
		to   *int32
		what int32
	}{{&units, attributeProcessors}, {&mode, attributeComputeMode}, {&major, attributeMajor}, {&minor, attributeMinor}} {
		if err := a.check("cuDeviceGetAttribute", a.DeviceGetAttribute(q.to, q.what, d.device)); err != nil {
			return err
		}
	}
	d.info.Units, d.sm = int(units), int(major*10+minor)
	d.info.API = fmt.Sprintf("compute capability %d.%d", major, minor)
	switch {
	case d.sm < kernels.PTXTarget:
		return fmt.Errorf("its compute capability is %d.%d, %d.%d is needed (GTX 10, Tesla P100 and newer)", major, minor, kernels.PTXTarget/10, kernels.PTXTarget%10)
	case version < kernels.PTXDriver:
		return fmt.Errorf("its driver is for CUDA %d.%d, one for %d.%d or newer is needed", version/1000, version%1000/10, kernels.PTXDriver/1000, kernels.PTXDriver%1000/10)
	case mode == computeModeProhibited:
		return errors.New("its compute mode is prohibited (nvidia-smi -c 0 changes that)")
	}
	return nil
}
