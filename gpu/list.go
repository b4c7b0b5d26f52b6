package gpu

import (
	"errors"

	"quern/gpu/driver"
)

// Listed is a device that the machine has.
type Listed struct {
	Info
	Refused error // why it cannot be used; it may still fail its test when opened

	open func() (driver.Device, error)
}

// Absent is a kind of device of which there is none.
type Absent struct {
	Kind   string
	Reason error
}

// List returns the devices of the machine in the order in which Open prefers them,
// the processor last, and the kinds that are not there. It opens none of them.
func List() (found []Listed, absent []Absent) {
	return list(func(*backend) bool { return true })
}

// list returns those of the backends that are asked for.
func list(asked func(*backend) bool) (found []Listed, absent []Absent) {
	for i := range backends {
		b := &backends[i]
		if !asked(b) {
			continue
		}
		ds, err := b.devices()
		if err == nil && len(ds) == 0 {
			err = errors.New("no devices")
		}
		if err != nil {
			absent = append(absent, Absent{b.kind, err})
		}
		for _, d := range ds {
			found = append(found, Listed{Info: d.Info, Refused: d.Refused, open: d.Open})
		}
	}
	return append(found, Listed{Info: CPU().Info()}), absent
}

// backend is a way to devices.
type backend struct {
	kind  string
	built bool // this binary has it
	// cards reports whether there may be cards, without a driver's help: a driver that
	// works with the processor takes a third of a second to read from a disk.
	cards   func() bool
	devices func() ([]driver.Found, error)
}

// Kinds returns the kinds of devices that this binary can drive where the machine has
// them; the processor is not among them.
func Kinds() []string {
	var kinds []string
	for _, b := range backends {
		if b.built {
			kinds = append(kinds, b.kind)
		}
	}
	return kinds
}

// Open readies the device and tests it. Most take a second for that the first time,
// and some 100 ms later, when the driver has kept what it compiled.
func (l Listed) Open(o Options) (Device, error) {
	return l.openWith(o, new(hosts))
}

func (l Listed) openWith(o Options, h *hosts) (Device, error) {
	if l.Refused != nil {
		return nil, errors.New(title(l.Info) + ": " + l.Refused.Error())
	}
	if l.open == nil {
		return CPU(), nil
	}
	dev, err := l.open()
	if err != nil {
		return nil, errors.New(title(l.Info) + ": " + err.Error())
	}
	a, err := newAccelerator(dev, o, h)
	if err != nil {
		return nil, err
	}
	return a, nil
}
