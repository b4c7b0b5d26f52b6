package gpu_test

import (
	"fmt"
	"testing"

	"quern/gpu"
	"quern/gpu/driver"
	"quern/gpu/gputest"
)

func TestCPU(t *testing.T) { gputest.Run(t, gpu.CPU()) }

// devices returns the machine's devices that are no mere CPU, or skips.
func devices(t testing.TB) []gpu.Listed {
	found, absent := gpu.List()
	var ok []gpu.Listed
	for _, l := range found {
		switch {
		case l.Refused != nil:
			t.Logf("%s:%d (%s): %v", l.Kind, l.Index, l.Name, l.Refused)
		case l.Kind != "cpu":
			ok = append(ok, l)
		}
	}
	if len(ok) == 0 {
		t.Skip("no device here: ", absent)
	}
	return ok
}

func open(t testing.TB, l gpu.Listed, o gpu.Options) gpu.Device {
	d, err := l.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func name(l gpu.Listed) string { return fmt.Sprintf("%s:%d", l.Kind, l.Index) }

func TestDevices(t *testing.T) {
	for _, l := range devices(t) {
		t.Run(name(l), func(t *testing.T) { gputest.Run(t, open(t, l, gpu.Options{})) })
	}
}

// What does not fit at once goes through in pieces.
func TestDevicesWithLittleMemory(t *testing.T) {
	for _, l := range devices(t) {
		t.Run(name(l), func(t *testing.T) { gputest.Run(t, open(t, l, gpu.Options{DeviceMemory: 1 << 20})) })
	}
}

// softly is a device whose own division is not to be trusted.
type softly struct{ driver.Device }

func (d softly) Build(bool) error { return d.Device.Build(true) }

func TestSoftDivision(t *testing.T) {
	for _, l := range devices(t) {
		t.Run(name(l), func(t *testing.T) {
			d, err := l.OpenWith(gpu.Options{}, func(d driver.Device) driver.Device { return softly{d} })
			if err != nil {
				t.Fatal(err)
			}
			gputest.Run(t, d)
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
