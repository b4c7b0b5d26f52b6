package gpu

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Open opens what spec names:
//
//   - "cpu": the processor;
//   - "cuda:1", "opencl:0": that device;
//   - "cuda", "opencl": all devices of that kind that can be used, as one; of OpenCL
//     those of the first driver that has cards, for others may show the same ones,
//     and the first device of any sort where no driver has;
//   - "auto" or "": the same with CUDA, else with OpenCL where it has cards, else
//     the processor.
//
// With "auto" the error is always nil.
func Open(spec string, o Options) (Device, error) {
	kind, number, one := strings.Cut(spec, ":")
	index, err := strconv.Atoi(number)
	switch {
	case one && (err != nil || index < 0),
		kind != "cpu" && kind != "cuda" && kind != "opencl" && (kind != "auto" && kind != "" || one),
		kind == "cpu" && one:
		return nil, fmt.Errorf("device %q: it can be auto, cpu, cuda, cuda:N, opencl or opencl:N", spec)
	}
	found, absent := list(func(b *backend) bool { return kind != "auto" && kind != "" || b.cards() })
	return open(found, absent, kind, index, one, o)
}

func open(found []Listed, absent []Absent, kind string, index int, one bool, o Options) (Device, error) {
	if o.Log == nil {
		o.Log = func(string) {}
	}
	switch {
	case kind == "cpu":
		return CPU(), nil
	case kind == "auto" || kind == "":
		for _, k := range automatic {
			if d, err := openAll(cards(found, k), o); err == nil {
				return d, nil
			}
		}
		return CPU(), nil
	}
	var of []Listed
	for _, l := range found {
		if l.Kind == kind {
			of = append(of, l)
		}
	}
	if len(of) == 0 {
		for _, a := range absent {
			if a.Kind == kind {
				return nil, fmt.Errorf("device %q: %w", kind, a.Reason)
			}
		}
		return nil, fmt.Errorf("device %q: none is there", kind)
	}
	if one {
		if index >= len(of) {
			return nil, fmt.Errorf("device %q: the last one is %s:%d", fmt.Sprintf("%s:%d", kind, index), kind, len(of)-1)
		}
		return of[index].Open(o)
	}
	if c := cards(found, kind); len(c) > 0 {
		return openAll(c, o)
	}
	return of[0].Open(o)
}

// automatic are the kinds that "auto" looks for, the best first.
var automatic = []string{"cuda", "opencl"}

// Automatic returns what "auto" takes of found, given which of them can be used: cards of
// one kind, else the processor.
func Automatic(found []Listed, usable func(*Listed) bool) (of []Listed) {
	for _, k := range append(slices.Clone(automatic), "cpu") {
		list := cards(found, k)
		if k == "cpu" {
			list = slices.DeleteFunc(slices.Clone(found), func(l Listed) bool { return l.Kind != k })
		}
		for i := range list {
			if usable(&list[i]) {
				of = append(of, list[i])
			}
		}
		if len(of) > 0 {
			break
		}
	}
	return of
}

// cards returns the devices of a kind that are no processors, of the driver of the
// first of them that may be used.
func cards(found []Listed, kind string) (of []Listed) {
	driver := ""
	for _, l := range found {
		if l.Kind != kind || !l.IsGPU {
			continue
		}
		if driver == "" && l.Refused == nil {
			driver = l.Driver
		}
		if driver == "" || l.Driver == driver {
			of = append(of, l)
		}
	}
	return of
}

// openAll opens those of the devices that can be used.
func openAll(of []Listed, o Options) (Device, error) {
	var open []Device
	var errs []error
	shared := new(hosts)
	for _, l := range of {
		d, err := l.openWith(o, shared)
		if err != nil {
			o.Log(err.Error())
			errs = append(errs, err)
			continue
		}
		open = append(open, d)
	}
	switch len(open) {
	case 0:
		return nil, errors.Join(append(errs, errors.New("no device can be used"))...)
	case 1:
		return open[0], nil
	}
	return newGroup(open, o.Log), nil
}
