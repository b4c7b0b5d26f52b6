package gemm

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func cpuNow() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

func bestOf(n int, f func()) float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b := 1e18
	for range n {
		t0 := cpuNow()
		f()
		if d := float64(cpuNow() - t0); d < b {
			b = d
		}
	}
	return b
}

func TestSpeed(t *testing.T) {
	usePath(t, os.Getenv("PA"))
	p := current.Load()
	{
		const k = 128
		x := aligned(p.mr * k)
		w := aligned(p.nr * k)
		c := aligned(p.mr * p.nr)
		for i := range w {
			w[i] = .1
		}
		for i := range x {
			x[i] = .1
		}
		fmt.Printf("kernel %.1f\n", 2*20*float64(p.mr*p.nr*k)/bestOf(200, func() {
			for range 20 {
				p.kernel(c, p.nr, x, k, w, p.nr, k, p.mr, p.nr, 0)
			}
		}))
		if p.pairs != nil {
			fmt.Printf("pairs %.1f\n", 4*20*float64(p.mr*p.nr*k)/bestOf(200, func() {
				for range 20 {
					p.pairs.kernel(c, p.nr, x, k, w, p.nr, k, p.mr, p.nr, 0)
				}
			}))
		}
	}
	for _, s := range benchShapes {
		if v := os.Getenv("SH"); v != "" && !strings.Contains(fmt.Sprint(s), v) {
			continue
		}
		x := floats(rand.New(rand.NewPCG(1, 1)), s.rows*s.in, normal)
		y := make([]float32, s.rows*s.out)
		for _, f := range allFormats {
			if v := os.Getenv("FM"); v != "" && !strings.Contains(v, f.String()) {
				continue
			}
			w := benchWeight(s.out, s.in, f)
			fl := 2 * float64(s.rows*s.out*s.in)
			n := int(min(2000, max(3, 4e10/fl)))
			if os.Getenv("PA") == "generic" {
				n = 1
			}
			fmt.Printf("%v %v: %.1f\n", s, f, fl/bestOf(n, func() { Mul(y, s.out, x, s.in, s.rows, &w, Options{Workers: 1, BF16: os.Getenv("BF") != ""}) }))
		}
	}
}
