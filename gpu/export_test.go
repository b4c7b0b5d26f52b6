package gpu

import "quern/gpu/driver"

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
