package gpu

import (
	"errors"

	"quern/gpu/driver"
)

// OpenWith opens the device with its driver wrapped.
func (l Listed) OpenWith(o Options, wrap func(driver.Device) driver.Device) (Device, error) {
	dev, err := l.open()
	if err != nil {
		return nil, err
	}
	a, err := newAccelerator(wrap(dev), o, new(hosts))
	if err != nil {
		return nil, err
	}
	return a, nil
}

// NewListed makes a device of what a driver has found.
func NewListed(f driver.Found) Listed {
	return Listed{Info: f.Info, Refused: f.Refused, open: f.Open}
}

// OpenFrom is Open where these devices are there.
func OpenFrom(found []Listed, kind string, o Options) (Device, error) {
	return open(found, []Absent{{"cuda", errors.New("no driver")}}, kind, 0, false, o)
}

// Quotients runs the kernel that divides on a device, and returns both quotients of
// each pair.
func Quotients(d Device, x, y []float32) (plain, fast []float32, err error) {
	out := make([]float32, 4*len(x))
	err = d.(*accelerator).runProbe(out, x, y)
	for i := range x {
		plain, fast = append(plain, out[4*i]), append(fast, out[4*i+1])
	}
	return plain, fast, err
}
