package ptx

import (
	"fmt"
	"math"
	"strings"
)

// Run runs groups work-groups of so many threads, one after the other. args are
// the parameters' values.
func (e *Entry) Run(mem *Memory, groups, threads int, args []uint64) error {
	if len(args) != len(e.Params) {
		return fmt.Errorf("%s: %d arguments for %d parameters", e.Name, len(args), len(e.Params))
	}
	if e.threads != 0 && threads > e.threads {
		return fmt.Errorf("%s: %d threads, at most %d are declared", e.Name, threads, e.threads)
	}
	g := &group{entry: e, mem: mem, args: args, threads: threads, constants: map[uint64][]uint64{}}
	g.regs = make([][]uint64, len(e.regs))
	for i := range g.regs {
		g.regs[i] = make([]uint64, threads)
	}
	g.tid, g.ctaid = make([]uint64, threads), make([]uint64, threads)
	for t := range threads {
		g.tid[t] = uint64(t)
	}
	g.ntid, g.nctaid = g.constant(uint64(threads)), g.constant(uint64(groups))
	steps := make([]step, len(e.code))
	for i, in := range e.code {
		s, err := g.compile(in)
		if err != nil {
			return fmt.Errorf("%s, line %d: %s %s: %w", e.Name, in.line, in.op, strings.Join(in.args, ", "), err)
		}
		steps[i] = s
	}
	for b := range groups {
		for t := range g.ctaid {
			g.ctaid[t] = uint64(b)
		}
		if err := g.run(steps); err != nil {
			return fmt.Errorf("%s, group %d: %w", e.Name, b, err)
		}
	}
	return nil
}

// group runs one work-group. A register has a number for every thread.
type group struct {
	entry     *Entry
	mem       *Memory
	args      []uint64
	threads   int
	regs      [][]uint64
	constants map[uint64][]uint64
	shared    shared

	tid, ctaid, ntid, nctaid []uint64
}

// kind says what a step does to the flow of control.
type kind uint8

const (
	plain kind = iota
	branch
	barrier
	exit
)

// step is a compiled instruction.
type step struct {
	kind   kind
	guard  []uint64 // nil if there is none
	negate bool
	target int32
	label  bool
	line   int
	do     func(lanes []int32) error // plain
}

const (
	waiting = math.MaxInt32 - 1
	ended   = math.MaxInt32
)

// run takes, time after time, the threads that are furthest behind, and goes on
// with them to the next place where others may join.
func (g *group) run(steps []step) error {
	g.shared.reset(g.entry.Shared)
	pc, resume := make([]int32, g.threads), make([]int32, g.threads)
	lanes, some := make([]int32, 0, g.threads), make([]int32, 0, g.threads)
	for {
		at := int32(ended)
		for _, p := range pc {
			at = min(at, p)
		}
		if at == ended {
			return nil
		}
		if at == waiting { // all that are left
			g.shared.epoch++
			for t := range pc {
				if pc[t] == waiting {
					pc[t] = resume[t]
				}
			}
			continue
		}
		lanes = lanes[:0]
		for t, p := range pc {
			if p == at {
				lanes = append(lanes, int32(t))
			}
		}
		for first := true; ; first = false {
			if int(at) >= len(steps) {
				return fmt.Errorf("ran off the end")
			}
			s := &steps[at]
			if s.label && !first {
				for _, l := range lanes {
					pc[l] = at
				}
				break
			}
			act := lanes
			if s.guard != nil {
				some = some[:0]
				for _, l := range lanes {
					if (s.guard[l] != 0) != s.negate {
						some = append(some, l)
					}
				}
				act = some
			}
			if s.kind == plain {
				if err := s.do(act); err != nil {
					return fmt.Errorf("line %d: %w", s.line, err)
				}
				at++
				continue
			}
			for _, l := range lanes {
				pc[l] = at + 1
			}
			for _, l := range act {
				switch s.kind {
				case branch:
					pc[l] = s.target
				case barrier:
					pc[l], resume[l] = waiting, at+1
				case exit:
					pc[l] = ended
				}
			}
			break
		}
	}
}

// constant is a number that all threads see.
func (g *group) constant(x uint64) []uint64 {
	c := g.constants[x]
	if c == nil {
		c = make([]uint64, g.threads)
		for i := range c {
			c[i] = x
		}
		g.constants[x] = c
	}
	return c
}

// operand resolves a register, a number or the address of an array.
func (g *group) operand(s string) ([]uint64, error) {
	if i, ok := g.entry.regs[s]; ok {
		return g.regs[i], nil
	}
	switch s {
	case "%tid.x":
		return g.tid, nil
	case "%ctaid.x":
		return g.ctaid, nil
	case "%ntid.x":
		return g.ntid, nil
	case "%nctaid.x":
		return g.nctaid, nil
	}
	if v, ok := immediate(s); ok {
		return g.constant(v), nil
	}
	if at, ok := g.entry.shared[s]; ok {
		return g.constant(at), nil
	}
	if at, ok := g.entry.module.symbols[s]; ok {
		return g.constant(at), nil
	}
	return nil, fmt.Errorf("unknown operand %q", s)
}

// operands resolves several.
func (g *group) operands(list []string) ([][]uint64, error) {
	out := make([][]uint64, len(list))
	for i, s := range list {
		var err error
		if out[i], err = g.operand(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// vector resolves a register or a list of them in braces.
func (g *group) vector(s string) ([][]uint64, error) {
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		var list []string
		for r := range strings.SplitSeq(strings.TrimSuffix(inner, "}"), ",") {
			list = append(list, strings.TrimSpace(r))
		}
		return g.operands(list)
	}
	return g.operands([]string{s})
}
