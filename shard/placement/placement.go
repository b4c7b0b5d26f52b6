package placement

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Placement says which expert lies in which slot, for every layer.
type Placement struct {
	Shape  Shape
	Config Config // as completed: no zeros that stand for something
	Slots  int    // of a layer; rank r has slots r·Slots/Ranks to (r+1)·Slots/Ranks
	Layers []Layer
	Notes  []string // what the user should know
}

// Layer is the placement of one layer.
type Layer struct {
	Number int
	// By is the algorithm that made it: Contiguous where nothing was counted, whatever
	// was asked for.
	By      Algorithm
	Phy2Log []int   // the expert of each slot
	Log2Phy [][]int // the slots of each expert; EPLB lists them in the order in which it made the replicas, the others ascending
}

// Copies is how many slots each expert has.
func (l *Layer) Copies() []int {
	out := make([]int, len(l.Log2Phy))
	for e, slots := range l.Log2Phy {
		out[e] = len(slots)
	}
	return out
}

// OfRank is the experts of a rank, in the order of its slots.
func (p *Placement) OfRank(l *Layer, rank int) []int {
	per := p.Slots / p.Config.Ranks
	return l.Phy2Log[rank*per : (rank+1)*per]
}

// Place places the experts of all layers. An error that blames the configuration is a
// *UsageError.
func Place(ctx context.Context, in *Input, c Config) (*Placement, error) {
	w, err := newWork(in, c)
	if err != nil {
		return nil, err
	}
	p := w.placement(w.config.Algorithm)
	err = w.each(ctx, func(i int, made, _ routing) error {
		l, err := w.place(i, made, w.config.Algorithm)
		p.Layers[i] = l
		return err
	})
	if err != nil {
		return nil, err
	}
	p.Notes = append(p.Notes, p.uncounted()...)
	return p, nil
}

// work is an input with a configuration that fits it.
type work struct {
	in     *Input
	config Config
	geometry
}

func newWork(in *Input, c Config) (*work, error) {
	c, err := c.checked()
	if err != nil {
		return nil, err
	}
	g, err := c.geometry(in.Experts)
	if err != nil {
		return nil, err
	}
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	return &work{in: in, config: c, geometry: g}, nil
}

// placement is an empty placement by an algorithm.
func (w *work) placement(a Algorithm) *Placement {
	p := &Placement{Shape: w.in.Shape, Config: w.config, Slots: w.slots, Layers: make([]Layer, len(w.in.Layers))}
	p.Config.Algorithm = a
	p.Notes = slices.Clone(w.in.Notes)
	if w.groups > 1 && !w.wholeGroups() && a != Contiguous {
		p.Notes = append(p.Notes, fmt.Sprintf("%d nodes do not divide %d groups of experts: groups are not kept whole", w.nodes, w.groups))
	}
	if a == Quern && w.slots > maxPairs {
		p.Notes = append(p.Notes, fmt.Sprintf("%d slots are more than %d: only balance is looked at", w.slots, maxPairs))
	}
	return p
}

// each calls do for every layer, several at once, with the choices of the two parts
// of the trace, which are empty where there is none.
func (w *work) each(ctx context.Context, do func(i int, made, measured routing) error) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(w.config.Workers)
	for i := range w.in.Layers {
		group.Go(func() error {
			if err := within.Err(); err != nil {
				return err
			}
			var made, measured routing
			if t := w.in.Trace; t != nil {
				var err error
				if made, measured, err = t.read(i, w.experts); err != nil {
					return err
				}
			}
			return do(i, made, measured)
		})
	}
	return group.Wait()
}

// place places layer i.
func (w *work) place(i int, made routing, a Algorithm) (Layer, error) {
	l := Layer{Number: w.in.Layers[i], By: a}
	counted := w.in.Counts != nil || w.in.Trace != nil
	if !counted || a == Contiguous {
		l.By = Contiguous
		l.Phy2Log, l.Log2Phy = contiguous(w.geometry)
		return l, nil
	}
	o, err := w.in.observe(i, w.geometry, made, a == Quern)
	if err != nil {
		return l, err
	}
	switch {
	case a == EPLB:
		l.Phy2Log, l.Log2Phy = eplb(o.load, w.geometry)
	case sum(o.load) == 0:
		l.By = Contiguous
		l.Phy2Log, l.Log2Phy = contiguous(w.geometry)
	default:
		l.Phy2Log, l.Log2Phy = quern(o, w.geometry, w.config.Tolerance)
	}
	return l, nil
}

// uncounted says which layers are contiguous against the wish.
func (p *Placement) uncounted() []string {
	var list []int
	for _, l := range p.Layers {
		if l.By != p.Config.Algorithm {
			list = append(list, l.Number)
		}
	}
	switch {
	case len(list) == 0:
		return nil
	case len(list) == len(p.Layers):
		return []string{"nothing was counted: the placement is contiguous"}
	}
	return []string{fmt.Sprintf("nothing was counted in layers %s: their placement is contiguous", numbers(list))}
}
