package ptx

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// arithmetic resolves the instructions that make a number from others.
func (g *group) arithmetic(base string, mod, args []string) (func([]int32) error, error) {
	r, err := g.operands(args)
	if err != nil {
		return nil, err
	}
	typ := mod[len(mod)-1]
	how := strings.Join(mod[:len(mod)-1], ".")
	f, err := function(base, how, typ)
	if err != nil {
		return nil, err
	}
	if f.operands != len(r)-1 {
		return nil, fmt.Errorf("%d operands instead of %d", len(r)-1, f.operands)
	}
	d := r[0]
	switch f.operands {
	case 1:
		a := r[1]
		return func(lanes []int32) error {
			for _, l := range lanes {
				d[l] = f.one(a[l])
			}
			return nil
		}, nil
	case 2:
		a, b := r[1], r[2]
		return func(lanes []int32) error {
			for _, l := range lanes {
				d[l] = f.two(a[l], b[l])
			}
			return nil
		}, nil
	}
	a, b, c := r[1], r[2], r[3]
	return func(lanes []int32) error {
		for _, l := range lanes {
			d[l] = f.three(a[l], b[l], c[l])
		}
		return nil
	}, nil
}

// operation is a function of one to three numbers.
type operation struct {
	operands int
	one      func(a uint64) uint64
	two      func(a, b uint64) uint64
	three    func(a, b, c uint64) uint64
}

func unary(f func(a uint64) uint64) operation         { return operation{operands: 1, one: f} }
func binary2(f func(a, b uint64) uint64) operation    { return operation{operands: 2, two: f} }
func ternary(f func(a, b, c uint64) uint64) operation { return operation{operands: 3, three: f} }
func float2(f func(a, b float32) float32) operation {
	return binary2(func(a, b uint64) uint64 { return fbits(f(f32(a), f32(b))) })
}

func word2(f func(a, b uint32) uint32) operation {
	return binary2(func(a, b uint64) uint64 { return uint64(f(uint32(a), uint32(b))) })
}
func fbits(x float32) uint64 { return uint64(math.Float32bits(x)) }
func is(typ string, list ...string) bool {
	for _, t := range list {
		if t == typ {
			return true
		}
	}
	return false
}

// function finds an operation. how are the modifiers between its name and type.
func function(base, how, typ string) (operation, error) {
	wide := is(typ, "u64", "s64", "b64")
	word := is(typ, "u32", "s32", "b32")
	// Sums and products that might be fused are not what was asked for: only those
	// that say how they are rounded are known.
	key := base
	if how != "" {
		key += "." + how
	}
	switch key {
	case "mov", "cvta.to.global":
		return unary(func(a uint64) uint64 { return a }), nil
	case "cvt.u64", "cvt.u32": // from the type, which is unsigned
		if typ == "u32" || typ == "u64" {
			return unary(func(a uint64) uint64 {
				if key == "cvt.u32" || typ == "u32" {
					a = uint64(uint32(a))
				}
				return a
			}), nil
		}
	case "add.rn":
		if typ == "f32" {
			return float2(func(a, b float32) float32 { return a + b }), nil
		}
	case "sub.rn":
		if typ == "f32" {
			return float2(func(a, b float32) float32 { return a - b }), nil
		}
	case "mul.rn":
		if typ == "f32" {
			return float2(func(a, b float32) float32 { return a * b }), nil
		}
	case "div.rn":
		if typ == "f32" {
			return float2(func(a, b float32) float32 { return a / b }), nil
		}
	case "fma.rn":
		if typ == "f32" {
			return ternary(func(a, b, c uint64) uint64 { return fbits(fma(f32(a), f32(b), f32(c))) }), nil
		}
	case "add":
		if wide {
			return binary2(func(a, b uint64) uint64 { return a + b }), nil
		} else if word {
			return word2(func(a, b uint32) uint32 { return a + b }), nil
		}
	case "sub":
		if wide {
			return binary2(func(a, b uint64) uint64 { return a - b }), nil
		} else if word {
			return word2(func(a, b uint32) uint32 { return a - b }), nil
		}
	case "mul.lo":
		if wide {
			return binary2(func(a, b uint64) uint64 { return a * b }), nil
		} else if word {
			return word2(func(a, b uint32) uint32 { return a * b }), nil
		}
	case "mul.wide":
		if typ == "u32" {
			return binary2(func(a, b uint64) uint64 { return uint64(uint32(a)) * uint64(uint32(b)) }), nil
		}
	case "mad.lo":
		if word {
			return ternary(func(a, b, c uint64) uint64 { return uint64(uint32(a)*uint32(b) + uint32(c)) }), nil
		}
	case "div":
		if typ == "u32" {
			return word2(func(a, b uint32) uint32 { return a / b }), nil
		} else if typ == "u64" {
			return binary2(func(a, b uint64) uint64 { return a / b }), nil
		}
	case "rem":
		if typ == "u32" {
			return word2(func(a, b uint32) uint32 { return a % b }), nil
		} else if typ == "u64" {
			return binary2(func(a, b uint64) uint64 { return a % b }), nil
		}
	case "neg":
		if typ == "f32" {
			return unary(func(a uint64) uint64 { return uint64(uint32(a) ^ 1<<31) }), nil
		} else if typ == "s32" {
			return unary(func(a uint64) uint64 { return uint64(-uint32(a)) }), nil
		}
	case "min", "max":
		if compare, err := ordering(typ); err == nil {
			low := key == "min"
			return binary2(func(a, b uint64) uint64 {
				if typ == "f32" && (f32(a) != f32(a) || f32(b) != f32(b)) {
					if f32(a) != f32(a) { // the number, where one is none
						return b
					}
					return a
				}
				if (compare(a, b) < 0) == low {
					return a
				}
				return b
			}), nil
		}
	case "and", "or", "xor":
		return binary2(func(a, b uint64) uint64 {
			switch key {
			case "and":
				a &= b
			case "or":
				a |= b
			default:
				a ^= b
			}
			if word {
				a = uint64(uint32(a))
			}
			return a
		}), nil
	case "not":
		if typ == "pred" {
			return unary(func(a uint64) uint64 { return a ^ 1 }), nil
		} else if typ == "b32" {
			return unary(func(a uint64) uint64 { return uint64(^uint32(a)) }), nil
		}
	case "shl":
		if wide {
			return binary2(func(a, b uint64) uint64 { return a << uint32(b) }), nil
		} else if word {
			return word2(func(a, b uint32) uint32 { return a << b }), nil
		}
	case "shr":
		if typ == "u64" {
			return binary2(func(a, b uint64) uint64 { return a >> uint32(b) }), nil
		} else if typ == "u32" {
			return word2(func(a, b uint32) uint32 { return a >> b }), nil
		}
	case "bfe":
		if typ == "u32" {
			return ternary(func(a, b, c uint64) uint64 {
				return uint64(uint32(a)) >> (b & 0xff) & (1<<min(c&0xff, 32) - 1)
			}), nil
		}
	case "selp":
		return ternary(func(a, b, c uint64) uint64 {
			if c != 0 {
				return a
			}
			return b
		}), nil
	case "clz":
		if typ == "b32" {
			return unary(func(a uint64) uint64 { return uint64(bits.LeadingZeros32(uint32(a))) }), nil
		}
	}
	return operation{}, fmt.Errorf("unknown instruction")
}
