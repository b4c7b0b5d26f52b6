package gputest

import (
	"fmt"
	"testing"
	"time"

	"quern/gpu"
)

// BenchmarkDevices reports what each device of the machine does in a second, and
// each kernel's share of the speed at which the device copies its own memory:
//
//	go test -bench Devices -benchtime 1x ./gpu/gputest
func BenchmarkDevices(b *testing.B) {
	found, _ := gpu.List()
	for _, l := range found {
		b.Run(fmt.Sprintf("%s:%d", l.Kind, l.Index), func(b *testing.B) {
			d, err := l.Open(gpu.Options{})
			if err != nil {
				b.Skip(err)
			}
			defer d.Close()
			for b.Loop() {
				rates, err := gpu.Bench(d, 300*time.Millisecond)
				if err != nil {
					b.Fatal(err)
				}
				for _, r := range rates {
					b.Logf("%-50s %8.2f G%s %5.0f %% of copy", r.What, r.PerSecond/1e9, r.Unit, 100*r.OfCopy)
				}
			}
		})
	}
}
