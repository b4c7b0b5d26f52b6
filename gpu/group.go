package gpu

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"quern/fp8"
	"quern/gemm"
)

// group spreads calls over several devices of one kind. Each call goes to the one
// that has the fewest under way; what a device does not manage goes to another, as
// long as there is one.
type group struct {
	members []*member
	log     func(string)
	alike   bool // all of one make: products are the same on all
}

type member struct {
	Device
	under atomic.Int64 // calls under way
	lost  atomic.Bool
	said  sync.Once
}

func newGroup(ds []Device, log func(string)) *group {
	g := &group{log: log, alike: true}
	for _, d := range ds {
		g.members = append(g.members, &member{Device: d})
		a, b := d.Info(), ds[0].Info()
		g.alike = g.alike && a.Name == b.Name && a.API == b.API && a.Driver == b.Driver
	}
	return g
}

// Info is that of the first device, with the memory of all.
func (g *group) Info() Info {
	i := g.members[0].Info()
	i.Name = fmt.Sprintf("%s and %d more", i.Name, len(g.members)-1)
	i.Memory, i.Free, i.Units = 0, 0, 0
	for _, m := range g.members {
		n := m.Info()
		i.Memory, i.Free, i.Units = i.Memory+n.Memory, i.Free+n.Free, i.Units+n.Units
	}
	return i
}

// least returns the device with the fewest calls under way, nil if all are lost.
func (g *group) least() (best *member) {
	for _, m := range g.members {
		if !m.lost.Load() && (best == nil || m.under.Load() < best.under.Load()) {
			best = m
		}
	}
	return best
}

// first returns the first device that is not lost, nil if all are.
func (g *group) first() *member {
	for _, m := range g.members {
		if !m.lost.Load() {
			return m
		}
	}
	return nil
}

// do runs a call on one device after the other, as pick chooses them, until one
// manages it. last is the error of the one before.
func (g *group) do(pick func() *member, call func(Device) *Pending, last error) *Pending {
	m := pick()
	if m == nil {
		return done(last)
	}
	m.under.Add(1)
	p := call(m.Device)
	var once sync.Once
	ended := func() { once.Do(func() { m.under.Add(-1) }) }
	go func() { _ = p.Wait(); ended() }() // the caller may wait late
	return NewPending(func() error {
		err := p.Wait()
		if !errors.Is(err, ErrDevice) || errors.Is(err, ErrMemory) {
			return err
		}
		m.lost.Store(true)
		m.said.Do(func() { g.log(fmt.Sprintf("%v; the other devices go on", err)) })
		return g.do(pick, call, err).Wait()
	})
}

// errLost is what calls get when no device is left.
var errLost = fmt.Errorf("all devices are lost: %w", ErrDevice)

func (g *group) Amax(amax []float32, m fp8.Matrix) *Pending {
	return g.do(g.least, func(d Device) *Pending { return d.Amax(amax, m) }, errLost)
}

func (g *group) Scales(scales []float32, m fp8.Matrix, o fp8.Options) *Pending {
	return g.do(g.least, func(d Device) *Pending { return d.Scales(scales, m, o) }, errLost)
}

func (g *group) Quantize(codes []byte, codeStride int, tiles []fp8.TileStats, m fp8.Matrix, o fp8.Options) *Pending {
	return g.do(g.least, func(d Device) *Pending { return d.Quantize(codes, codeStride, tiles, m, o) }, errLost)
}

func (g *group) Dequantize(dst []byte, dstStride int, elem fp8.Elem, codes []byte, codeStride, rows, cols int, gr fp8.Grid) *Pending {
	return g.do(g.least, func(d Device) *Pending {
		return d.Dequantize(dst, dstStride, elem, codes, codeStride, rows, cols, gr)
	}, errLost)
}

// Mul goes to the first device that is left where others may add in another way.
func (g *group) Mul(y []float32, ldy int, x []float32, ldx, rows int, w *gemm.Weight) *Pending {
	pick := g.least
	if !g.alike {
		pick = g.first
	}
	return g.do(pick, func(d Device) *Pending { return d.Mul(y, ldy, x, ldx, rows, w) }, errLost)
}

// NewBuffer asks the first device: the others of its kind know the memory.
func (g *group) NewBuffer(n int) (*Buffer, error) {
	if m := g.least(); m != nil {
		return m.NewBuffer(n)
	}
	return nil, errLost
}

func (g *group) Close() error {
	var errs []error
	for _, m := range g.members {
		errs = append(errs, m.Device.Close())
	}
	return errors.Join(errs...)
}
