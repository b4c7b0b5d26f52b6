package main

import (
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"quern/gpu"
	"quern/internal/ui"
)

func devicesCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "devices",
		Usage:     "list what can compute here, and say why something cannot",
		ArgsUsage: "[flags]",
		Description: "Opens every device and tests it: quantizing has to give the processor's bits. docs/gpu.md says\n" +
			"what to do about what is refused.\n\n" +
			"Example:\n   quern devices --bench",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "bench", Usage: "measure each device"},
			jsonFlag,
		},
		Action: func(c *cli.Context) error {
			if _, err := positional(c, 0, 0); err != nil {
				return err
			}
			l := listDevices(c.Bool("bench"))
			if c.Bool("json") {
				return t.json(l)
			}
			l.print(t.out)
			return nil
		},
	}
}

// deviceList is what devices tells.
type deviceList struct {
	Devices []deviceRow `json:"devices"`
	Absent  []absentRow `json:"absent"` // kinds of which there is none
}

type deviceRow struct {
	Device string `json:"device"` // what --device takes
	gpu.Info
	Usable  bool       `json:"usable"`
	Refused string     `json:"refused,omitempty"` // why it is not
	Seconds float64    `json:"open_seconds"`      // opening and testing it
	Rates   []gpu.Rate `json:"rates,omitempty"`
}

type absentRow struct {
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
}

// benchTime is how long each figure of --bench takes, about.
const benchTime = 300 * time.Millisecond

func listDevices(bench bool) *deviceList {
	found, absent := gpu.List()
	l := &deviceList{Devices: []deviceRow{}, Absent: []absentRow{}}
	for _, a := range absent {
		l.Absent = append(l.Absent, absentRow{a.Kind, a.Reason.Error()})
	}
	for _, f := range found {
		r := deviceRow{Device: f.Kind, Info: f.Info}
		if f.Kind != "cpu" {
			r.Device = fmt.Sprintf("%s:%d", f.Kind, f.Index)
		}
		began := time.Now()
		d, err := f.Open(gpu.Options{})
		r.Seconds = time.Since(began).Seconds()
		if err == nil {
			r.Info = d.Info()
			if bench {
				r.Rates, err = gpu.Bench(d, benchTime)
			}
			if closed := d.Close(); err == nil {
				err = closed
			}
		}
		if r.Usable = err == nil; !r.Usable {
			r.Refused = err.Error()
		}
		l.Devices = append(l.Devices, r)
	}
	return l
}

func (l *deviceList) print(w io.Writer) {
	for _, d := range l.Devices {
		fmt.Fprintf(w, "%s  %s\n", d.Device, clean(d.Name))
		row := func(k, format string, args ...any) {
			fmt.Fprintf(w, "  %-9s %s\n", k, clean(fmt.Sprintf(format, args...)))
		}
		switch {
		case d.Free > 0:
			row("memory", "%s, %s of it free", ui.Bytes(d.Memory), ui.Bytes(d.Free))
		case d.Memory > 0:
			row("memory", "%s", ui.Bytes(d.Memory))
		}
		row("units", "%d", d.Units)
		if d.Driver != "" {
			row("driver", "%s", d.Driver)
			row("speaks", "%s", d.API)
		}
		switch {
		case !d.Usable:
			row("refused", "%s", d.Refused)
		case d.Device == "cpu":
			row("usable", "quantize, dequantize, products; kernels %s", d.Kernels)
		default:
			row("usable", "quantize, dequantize, products; ready after %.1f s", d.Seconds)
			row("kernels", "%s", d.Kernels)
		}
		if d.Usable && !d.FMA {
			row("note", "products are not the processor's to the bit: it does not fuse multiply-adds")
		}
		for _, r := range d.Rates {
			rate := fmt.Sprintf("%9.2f G%s", r.PerSecond/1e9, r.Unit)
			if r.OfCopy > 0 && r.What != "copy" {
				rate += fmt.Sprintf("  %4.0f %% of copy", 100*r.OfCopy)
			}
			fmt.Fprintf(w, "    %-48s %s\n", r.What, rate)
		}
	}
	for _, a := range l.Absent {
		fmt.Fprintf(w, "%s  none\n  %-9s %s\n", a.Kind, "because", clean(a.Reason))
	}
}
