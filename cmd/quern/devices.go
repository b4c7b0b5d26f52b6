package main

import (
	"fmt"
	"io"
	"strings"
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
			wait := ui.Wait(t.err.file, c.Bool("json") || t.err.events())
			l := listDevices(c.Bool("bench"), wait.For)
			wait.Stop()
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
	Auto    []string    `json:"auto"`   // what --device auto takes
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

// deviceName is what --device takes.
func deviceName(i gpu.Info) string {
	if i.Kind == "cpu" {
		return i.Kind
	}
	return fmt.Sprintf("%s:%d", i.Kind, i.Index)
}

// listDevices opens and tests what there is; loading says what is being waited for.
func listDevices(bench bool, loading func(string)) *deviceList {
	loading("loading the drivers of " + strings.Join(gpu.Kinds(), " and "))
	found, absent := gpu.List()
	l := &deviceList{Devices: []deviceRow{}, Absent: []absentRow{}}
	usable := map[string]bool{}
	for _, a := range absent {
		l.Absent = append(l.Absent, absentRow{a.Kind, a.Reason.Error()})
	}
	for _, f := range found {
		r := deviceRow{Device: deviceName(f.Info), Info: f.Info}
		loading("testing " + r.Device)
		began := time.Now()
		d, err := f.Open(gpu.Options{})
		r.Seconds = time.Since(began).Seconds()
		if err == nil {
			r.Info = d.Info()
			if bench {
				loading("measuring " + r.Device)
				r.Rates, err = gpu.Bench(d, benchTime)
			}
			if closed := d.Close(); err == nil {
				err = closed
			}
		}
		if r.Usable = err == nil; !r.Usable {
			r.Refused = err.Error()
		}
		usable[r.Device] = r.Usable
		l.Devices = append(l.Devices, r)
	}
	for _, f := range gpu.Automatic(found, func(f *gpu.Listed) bool { return usable[deviceName(f.Info)] }) {
		l.Auto = append(l.Auto, deviceName(f.Info))
	}
	return l
}

func (l *deviceList) print(w io.Writer) {
	for _, d := range l.Devices {
		fmt.Fprintf(w, "%s  %s\n", d.Device, clean(d.Name))
		row := func(k, format string, args ...any) {
			fmt.Fprintf(w, "  %-9s %s\n", k, ui.Wrap(clean(fmt.Sprintf(format, args...)), 12, 12))
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
		fmt.Fprintf(w, "%s  none\n  %-9s %s\n", a.Kind, "because", ui.Wrap(clean(a.Reason), 12, 12))
	}
	fmt.Fprintf(w, "--device auto takes %s\n", strings.Join(l.Auto, ", "))
}
