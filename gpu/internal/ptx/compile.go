package ptx

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// compile resolves an instruction.
func (g *group) compile(in instruction) (step, error) {
	s := step{negate: in.negate, label: in.label, line: in.line}
	if in.guard != "" {
		var err error
		if s.guard, err = g.operand(in.guard); err != nil {
			return s, err
		}
	}
	base, mods, _ := strings.Cut(in.op, ".")
	mod := strings.Split(mods, ".")
	switch base {
	case "ret", "exit":
		s.kind = exit
		return s, nil
	case "bra":
		at, ok := g.entry.labels[in.args[0]]
		if !ok {
			return s, fmt.Errorf("no such label")
		}
		s.kind, s.target = branch, int32(at)
		return s, nil
	case "bar":
		if mods != "sync" || in.args[0] != "0" || in.guard != "" {
			return s, fmt.Errorf("unknown barrier")
		}
		s.kind = barrier
		return s, nil
	}
	var err error
	switch base {
	case "ld", "st":
		s.do, err = g.transfer(base, mod, in.args)
	case "atom":
		s.do, err = g.atomic(mod, in.args)
	case "setp":
		s.do, err = g.compare(mod, in.args)
	default:
		s.do, err = g.arithmetic(base, mod, in.args)
	}
	return s, err
}

// address resolves "[%rd1+8]": the base and the offset.
func (g *group) address(s string) (base []uint64, offset uint64, err error) {
	s = strings.Trim(s, "[]")
	name, off, found := strings.Cut(s, "+")
	if found {
		var ok bool
		if offset, ok = immediate(off); !ok {
			return nil, 0, fmt.Errorf("unknown offset %q", off)
		}
	}
	base, err = g.operand(name)
	return base, offset, err
}

// transfer is ld and st.
func (g *group) transfer(base string, mod, args []string) (func([]int32) error, error) {
	size := sizes["."+mod[len(mod)-1]]
	if size == 0 {
		return nil, fmt.Errorf("unknown type")
	}
	space, write := mod[0], base == "st"
	where, what := args[len(args)-1], args[0]
	if write {
		where, what = args[0], args[1]
	}
	regs, err := g.vector(what)
	if err != nil {
		return nil, err
	}
	if space == "param" {
		i, ok := g.entry.params[strings.Trim(where, "[]")]
		if !ok || g.entry.Params[i] != size {
			return nil, fmt.Errorf("parameter of another size")
		}
		return func(lanes []int32) error {
			for _, l := range lanes {
				regs[0][l] = g.args[i]
			}
			return nil
		}, nil
	}
	at, offset, err := g.address(where)
	if err != nil {
		return nil, err
	}
	n := size * len(regs)
	return func(lanes []int32) error {
		for _, l := range lanes {
			addr := at[l] + offset
			if addr%uint64(n) != 0 {
				return fmt.Errorf("thread %d: address %#x is no multiple of %d", l, addr, n)
			}
			var p []byte
			switch space {
			case "global":
				if p = g.mem.Bytes(addr, n); p == nil {
					return fmt.Errorf("thread %d: %d bytes at %#x are in no buffer", l, n, addr)
				}
			case "shared":
				if err := g.shared.access(addr, n, l, write, false); err != nil {
					return err
				}
				p = g.shared.bytes[addr:][:n]
			case "const":
				if addr+uint64(n) > uint64(len(g.entry.module.constants)) {
					return fmt.Errorf("thread %d: constant at %d", l, addr)
				}
				p = g.entry.module.constants[addr:][:n]
			default:
				return fmt.Errorf("unknown space %q", space)
			}
			for i, r := range regs {
				if write {
					store(p[i*size:][:size], r[l])
				} else {
					r[l] = load(p[i*size:][:size])
				}
			}
		}
		return nil
	}, nil
}

func (g *group) atomic(mod, args []string) (func([]int32) error, error) {
	if !slices.Equal(mod, []string{"shared", "add", "u32"}) {
		return nil, fmt.Errorf("unknown instruction")
	}
	at, offset, err := g.address(args[1])
	if err != nil {
		return nil, err
	}
	r, err := g.operands([]string{args[0], args[2]})
	if err != nil {
		return nil, err
	}
	return func(lanes []int32) error {
		for _, l := range lanes {
			addr := at[l] + offset
			if err := g.shared.access(addr, 4, l, true, true); err != nil {
				return err
			}
			p := g.shared.bytes[addr:][:4]
			old := load(p)
			store(p, old+r[1][l])
			r[0][l] = old
		}
		return nil
	}, nil
}

// compare is setp.
func (g *group) compare(mod, args []string) (func([]int32) error, error) {
	if len(mod) != 2 || len(args) != 3 {
		return nil, fmt.Errorf("unknown comparison")
	}
	r, err := g.operands(args)
	if err != nil {
		return nil, err
	}
	d, a, b := r[0], r[1], r[2]
	order, typ := mod[0], mod[1]
	unordered := false
	if typ == "f32" && len(order) == 3 && order[2] == 'u' {
		order, unordered = order[:2], true
	}
	var holds func(c int) bool
	switch order {
	case "eq":
		holds = func(c int) bool { return c == 0 }
	case "ne":
		holds = func(c int) bool { return c != 0 }
	case "lt", "lo":
		holds = func(c int) bool { return c < 0 }
	case "le", "ls":
		holds = func(c int) bool { return c <= 0 }
	case "gt", "hi":
		holds = func(c int) bool { return c > 0 }
	case "ge", "hs":
		holds = func(c int) bool { return c >= 0 }
	default:
		return nil, fmt.Errorf("unknown comparison")
	}
	compare, err := ordering(typ)
	if err != nil {
		return nil, err
	}
	return func(lanes []int32) error {
		for _, l := range lanes {
			result := unordered
			if typ != "f32" || f32(a[l]) == f32(a[l]) && f32(b[l]) == f32(b[l]) {
				result = holds(compare(a[l], b[l]))
			}
			d[l] = truth(result)
		}
		return nil
	}, nil
}

// ordering compares numbers of a type.
func ordering(typ string) (func(a, b uint64) int, error) {
	switch typ {
	case "u32", "b32":
		return func(a, b uint64) int { return order(uint32(a), uint32(b)) }, nil
	case "s32":
		return func(a, b uint64) int { return order(int32(a), int32(b)) }, nil
	case "u64", "b64":
		return func(a, b uint64) int { return order(a, b) }, nil
	case "s64":
		return func(a, b uint64) int { return order(int64(a), int64(b)) }, nil
	case "f32":
		return func(a, b uint64) int { return order(f32(a), f32(b)) }, nil
	}
	return nil, fmt.Errorf("unknown type %q", typ)
}

func order[T uint32 | int32 | uint64 | int64 | float32](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// fma is a·b+c, rounded once: the sum of the exact product and c is rounded to odd
// in float64, which has bits enough that the second rounding is right.
func fma(a, b, c float32) float32 {
	p := float64(a) * float64(b)
	s := p + float64(c)
	t := s - p
	lost := (p - (s - t)) + (float64(c) - t)
	if bits := math.Float64bits(s); lost != 0 && bits&1 == 0 && !math.IsInf(s, 0) {
		if (lost > 0) == (s > 0) {
			bits++
		} else {
			bits--
		}
		s = math.Float64frombits(bits)
	}
	return float32(s)
}
