package gpu_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quern/fp8"
	"quern/gpu"
	"quern/gpu/driver"
	"quern/gpu/gputest"
	"quern/gpu/internal/fakecuda"
	"quern/gpu/internal/faults"
)

func TestOpenSpecs(t *testing.T) {
	for _, spec := range []string{"gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "auto:1", ":", ":0", "CUDA"} {
		if _, err := gpu.Open(spec, gpu.Options{}); err == nil || !strings.Contains(err.Error(), "it can be auto, cpu, cuda, cuda:N, opencl or opencl:N") {
			t.Errorf("%q: %v", spec, err)
		}
	}
	d, err := gpu.Open("cpu", gpu.Options{})
	if err != nil || d.Info().Kind != "cpu" || d.Info().Name == "" {
		t.Error(d, err)
	}
	if _, err := gpu.Open("opencl:99", gpu.Options{}); err == nil {
		t.Error("opencl:99 is there")
	}
	found, absent := gpu.List()
	if last := found[len(found)-1]; last.Kind != "cpu" || last.Refused != nil {
		t.Errorf("the last device is %+v", last)
	}
	for _, a := range absent {
		if a.Reason == nil || a.Kind == "cpu" {
			t.Errorf("%+v", a)
		}
	}
}

// cards are the devices of a driver that is not there.
func cards(t *testing.T, d *fakecuda.Driver) (list []gpu.Listed) {
	found, err := d.API().Devices()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		list = append(list, gpu.NewListed(f))
	}
	return list
}

func TestOpenAuto(t *testing.T) {
	cpu := gpu.Listed{Info: gpu.CPU().Info()}
	fine, old, broken := fakecuda.New(fakecuda.Twins()), fakecuda.New(nil), fakecuda.New(fakecuda.Twins())
	old.SM = 52
	broken.Memory = 1 << 10
	slow := cards(t, fakecuda.New(fakecuda.Twins()))[0]
	slow.Kind, slow.IsGPU = "opencl", false
	refused := cards(t, old)[0]
	if refused.Refused == nil || !strings.Contains(refused.Refused.Error(), "5.2") {
		t.Errorf("refused for %v", refused.Refused)
	}
	for _, c := range []struct {
		name, kind string
		found      []gpu.Listed
		want       string // kind, or part of the error
		logged     int
	}{
		{"a card", "auto", []gpu.Listed{cards(t, fine)[0], cpu}, "cuda", 0},
		{"an old card", "auto", []gpu.Listed{refused, cpu}, "cpu", 1},
		{"an old card and another", "auto", []gpu.Listed{refused, cards(t, fine)[0], cpu}, "cuda", 1},
		{"a card without memory", "auto", []gpu.Listed{cards(t, broken)[0], cpu}, "cpu", 1},
		{"OpenCL on the processor", "auto", []gpu.Listed{slow, cpu}, "cpu", 0},
		{"OpenCL on the processor, named", "opencl", []gpu.Listed{slow, cpu}, "cuda", 0}, // it is a fake one
		{"nothing", "auto", []gpu.Listed{cpu}, "cpu", 0},
		{"no driver", "cuda", []gpu.Listed{cpu}, `device "cuda": no driver`, 0},
		{"an old card, named", "cuda", []gpu.Listed{refused, cpu}, "cuda:0 (Imaginary 9000): its compute capability is 5.2, 6.0 is needed", 1},
		{"no memory, named", "cuda", []gpu.Listed{cards(t, broken)[0], cpu}, "bytes of device memory are too few", 1},
	} {
		var logged []string
		d, err := gpu.OpenFrom(c.found, c.kind, gpu.Options{Log: func(s string) { logged = append(logged, s) }})
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = d.Info().Kind
			if err := d.Close(); err != nil {
				t.Error(c.name, err)
			}
		}
		if !strings.Contains(got, c.want) || len(logged) != c.logged {
			t.Errorf("%s: %s, logged %q", c.name, got, logged)
		}
	}
}

// Two cards work as one, and what one cannot finish the other does.
func TestGroup(t *testing.T) {
	fake := fakecuda.New(fakecuda.Twins())
	fake.Cards = 2
	var mu sync.Mutex
	var logged []string
	d, err := gpu.OpenFrom(cards(t, fake), "cuda", gpu.Options{ChunkBytes: 1, Log: func(s string) {
		mu.Lock()
		defer mu.Unlock()
		logged = append(logged, s)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if i := d.Info(); i.Memory != 2*int64(fake.Memory) || i.Units != 8 || !strings.Contains(i.Name, "and 1 more") {
		t.Errorf("%+v", i)
	}
	gputest.Run(t, d)
	if err := d.Close(); err != nil || len(logged) != 0 {
		t.Error(err, logged)
	}
	if s := fake.Held(); s != "" {
		t.Error(s)
	}
}

func TestGroupLosesOne(t *testing.T) {
	good, bad := fakecuda.New(fakecuda.Twins()), newLosing(7)
	var mu sync.Mutex
	var logged []string
	found := append(cards(t, bad), cards(t, good)...)
	found[1].Index = 1
	d, err := gpu.OpenFrom(found, "cuda", gpu.Options{ChunkBytes: 1, Slots: 1, Log: func(s string) {
		mu.Lock()
		defer mu.Unlock()
		logged = append(logged, s)
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := newWork()
	for range 10 {
		if err := w.do(t, d); err != nil {
			t.Error(err)
		}
	}
	if len(logged) != 1 || !strings.Contains(logged[0], "cuda:0 (Imaginary 9000): ") || !strings.Contains(logged[0], "CUDA_ERROR_ILLEGAL_ADDRESS (700); the other devices go on") {
		t.Errorf("logged %q", logged)
	}
	_ = d.Close() // the lost card complains
	if s := good.Held() + bad.Held(); s != "" {
		t.Error(s)
	}
}

// losing runs kernels well for some time after the self-test.
func newLosing(after int) *fakecuda.Driver {
	twins := fakecuda.Twins()
	d := fakecuda.New(nil)
	d.Run = func(mem *fakecuda.Memory, name string, groups, threads int, args []uint64) error {
		if groups != 3 { // tiles of a piece of newWork, not of the self-test
			return twins(mem, name, groups, threads, args)
		}
		if after--; after < 0 {
			return errors.New("fell off the bus")
		}
		return twins(mem, name, groups, threads, args)
	}
	return d
}

// A lost card is left alone, and that is said once.
func TestFallback(t *testing.T) {
	bad := newLosing(3)
	d, err := cards(t, bad)[0].Open(gpu.Options{ChunkBytes: 1, Slots: 1})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var logged []string
	d = gpu.WithFallback(d, func(s string) {
		mu.Lock()
		defer mu.Unlock()
		logged = append(logged, s)
	})
	w := newWork()
	for range 10 {
		if err := w.do(t, d); err != nil {
			t.Error(err)
		}
	}
	if len(logged) != 1 || !strings.Contains(logged[0], "the processor goes on, with the same result") {
		t.Errorf("logged %q", logged)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if s := bad.Held(); s != "" {
		t.Error(s)
	}
}

// starved is a device that has no memory for more once it is open.
type starved struct {
	driver.Device
	empty bool
}

func (s *starved) NewBuffer(n int) (driver.Buffer, error) {
	if s.empty {
		return nil, &driver.Error{Call: "cuMemAlloc", Code: 2, Name: "CUDA_ERROR_OUT_OF_MEMORY", Memory: true}
	}
	return s.Device.NewBuffer(n)
}

// A card that has too little memory for a product stays in use for what it can do.
func TestShortMemory(t *testing.T) {
	fake, ran, twins := fakecuda.New(nil), map[string]int{}, fakecuda.Twins()
	fake.Run = func(mem *fakecuda.Memory, name string, groups, threads int, args []uint64) error {
		ran[name]++
		return twins(mem, name, groups, threads, args)
	}
	var s *starved
	d, err := cards(t, fake)[0].OpenWith(gpu.Options{ChunkBytes: 1, Slots: 1}, func(d driver.Device) driver.Device {
		s = &starved{Device: d}
		return s
	})
	if err != nil {
		t.Fatal(err)
	}
	s.empty = true
	var logged []string
	d = gpu.WithFallback(d, func(line string) { logged = append(logged, line) })
	w := newWork()
	const rows, in = 20, 32000 // more than the operands that the self-test has left
	w.weight.Out, w.weight.In = 1, in
	w.x = slices.Repeat(w.x, rows*in/len(w.x)+1)[:rows*in]
	y := make([]float32, rows)
	for range 3 {
		if err := d.Mul(y, 1, w.x, in, rows, w.weight).Wait(); err != nil {
			t.Error(err)
		}
		if err := gpu.CheckMul(y, 1, w.x, in, rows, w.weight); err != nil {
			t.Error(err)
		}
	}
	before := ran["amax_bf16"]
	if err := d.Amax(make([]float32, 6), w.m).Wait(); err != nil || ran["amax_bf16"] == before {
		t.Error("amax did not run on the card: ", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if len(logged) != 1 || !strings.Contains(logged[0], "the processor does what does not fit") {
		t.Errorf("logged %q", logged)
	}
	if s := fake.Held(); s != "" {
		t.Error(s)
	}
}

// Close waits for what is under way, may be called twice, and calls after it are
// refused.
func TestClose(t *testing.T) {
	fake := fakecuda.New(fakecuda.Twins())
	d, err := cards(t, fake)[0].Open(gpu.Options{ChunkBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.NewBuffer(1000); err != nil { // which nobody frees
		t.Fatal(err)
	}
	w := newWork()
	codes, tiles := make([]byte, len(w.codes)), make([]fp8.TileStats, 6)
	p := d.Quantize(codes, w.m.Cols, tiles, w.m, w.o)
	if err := errors.Join(d.Close(), d.Close(), p.Wait()); err != nil {
		t.Error(err)
	}
	if !slices.Equal(tiles, w.tiles) {
		t.Error("the call under way was cut")
	}
	if err := d.Amax(make([]float32, 6), w.m).Wait(); err == nil || !strings.Contains(err.Error(), "the device is closed") {
		t.Error(err)
	}
	if s := fake.Held(); s != "" {
		t.Error(s)
	}
}

// When a call has failed nothing is still written to what its caller gave.
func TestNothingWrittenAfterFailure(t *testing.T) {
	for call, times := range map[string]int{"cuMemcpyDtoHAsync_v2": 2, "cuEventRecord": 1, "cuEventSynchronize": 1, "cuEventDestroy_v2": 1} {
		fake := fakecuda.New(fakecuda.Twins())
		api, n := fake.API(), -1
		faults.Wrap(api, func(name string) int32 {
			if name != call || n < 0 {
				return 0
			}
			if n++; n != times {
				return 0
			}
			return 999
		})
		found, err := api.Devices()
		if err != nil {
			t.Fatal(err)
		}
		d, err := gpu.NewListed(found[0]).Open(gpu.Options{ChunkBytes: 1 << 20, Slots: 1})
		if err != nil {
			t.Fatal(err)
		}
		w := newWork()
		b, err := d.NewBuffer(len(w.codes))
		if err != nil {
			t.Fatal(err)
		}
		fake.Delay, n = 20*time.Millisecond, 0
		err = d.Quantize(b.Bytes, w.m.Cols, make([]fp8.TileStats, 6), w.m, w.o).Wait()
		if !errors.Is(err, gpu.ErrDevice) {
			t.Errorf("%s: error %v", call, err)
		}
		if fake.Busy(b.Bytes) {
			t.Errorf("%s: a copy is still under way", call)
		}
		_ = d.Close()
		if s := fake.Held(); s != "" {
			t.Error(s)
		}
	}
}
