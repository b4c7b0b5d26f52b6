package main

import (
	"fmt"
	"regexp"

	"github.com/urfave/cli/v2"

	"quern/gpu"
	"quern/internal/ui"
)

// deviceFlags choose where arithmetic is done. What comes out is the same, to the bit
// or, of products, within a bound that docs/gpu.md states.
func deviceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "device", Usage: "`auto|cpu|cuda[:n]|opencl[:n]`where to compute; auto takes a graphics card if there is one", Value: "auto"},
		&cli.StringFlag{Name: "device-memory", Usage: "`SIZE`bound on what is taken of a device's memory, four fifths of what is free unless given"},
	}
}

var deviceForm = regexp.MustCompile(`^(auto|(cuda|opencl)(:\d+)?)$`)

// device opens what --device names; nil is the processor. Call done when finished.
func (t *terminal) device(c *cli.Context) (d gpu.Device, done func(), err error) {
	log := func(line string) {
		if !c.Bool("quiet") {
			t.note(line)
		}
	}
	o := gpu.Options{Log: log}
	if c.IsSet("device-memory") {
		if o.DeviceMemory, err = size(c, "device-memory"); err != nil {
			return nil, nil, err
		}
	}
	spec := c.String("device")
	if spec == "cpu" || spec == "" { // "" of commands that take no device
		return nil, func() {}, nil
	}
	if !deviceForm.MatchString(spec) {
		return nil, nil, usagef("--device %q: it can be auto, cpu, cuda, cuda:N, opencl or opencl:N", spec)
	}
	if c.IsSet("memory") {
		bound, err := size(c, "memory")
		if err != nil {
			return nil, nil, err
		}
		if bound < driverMemory {
			if spec == "auto" {
				return nil, func() {}, nil
			}
			log(fmt.Sprintf("what the drivers of --device %s take is not within --memory %s", spec, ui.Bytes(bound)))
		}
	}
	wait := ui.Wait(t.err.file, c.Bool("quiet") || c.Bool("json") || t.err.events())
	wait.For("loading the drivers of devices")
	found, err := gpu.Open(spec, o)
	wait.Stop()
	if err != nil {
		return nil, nil, fmt.Errorf("--device %s: %w", spec, err)
	}
	if found.Info().Kind == "cpu" {
		return nil, func() { _ = found.Close() }, nil
	}
	found = gpu.WithFallback(found, log)
	return found, func() { _ = found.Close() }, nil
}

// driverMemory is the least bound on memory under which drivers are loaded unasked: their
// libraries stay resident, and are nobody's to divide. 63 MiB were measured of an OpenCL on
// the processor, where quern itself takes 30.
const driverMemory = 256 << 20
