package jinja

import (
	"math"
	"strings"
)

// calculate is arithmetic as Python has it.
func calculate(op string, a, b any) any {
	if op == "~" {
		return bounded(text(a), text(b))
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok && op == "+" {
			return bounded(x, y)
		}
		if n, ok := b.(int64); ok && op == "*" {
			if n > 0 && int64(len(x)) > maxOutput/n {
				fail("a string would be longer than %d bytes", maxOutput)
			}
			return strings.Repeat(x, int(max(n, 0)))
		}
	case *list:
		if y, ok := b.(*list); ok && op == "+" && len(x.items)+len(y.items) <= maxSteps {
			return &list{items: append(append([]any{}, x.items...), y.items...), tuple: x.tuple}
		}
	}
	x, ok := number(a)
	y, also := number(b)
	if !ok || !also {
		fail("%s %s %s is not defined", typeName(a), op, typeName(b))
	}
	if _, ok := a.(float64); !ok && op != "/" {
		if _, ok := b.(float64); !ok {
			return whole(op, integer(a), integer(b))
		}
	}
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "**":
		return math.Pow(x, y)
	}
	if y == 0 {
		fail("a division by 0")
	}
	switch op {
	case "/":
		return x / y
	case "//":
		return math.Floor(x / y)
	}
	return x - y*math.Floor(x/y)
}

func bounded(a, b string) string {
	if len(a)+len(b) > maxOutput {
		fail("a string would be longer than %d bytes", maxOutput)
	}
	return a + b
}

// whole is arithmetic of whole numbers, which have to fit 64 bits.
func whole(op string, a, b int64) any {
	var r int64
	fits := true
	switch op {
	case "+":
		r = a + b
		fits = (r > a) == (b > 0)
	case "-":
		r = a - b
		fits = (r < a) == (b > 0)
	case "*":
		r = a * b
		fits = a == 0 || r/a == b && !(a == -1 && b == math.MinInt64)
	case "**":
		if b < 0 {
			return math.Pow(float64(a), float64(b))
		}
		f := math.Pow(float64(a), float64(b))
		r = int64(f)
		fits = math.Abs(f) < 1<<53
	default:
		if b == 0 {
			fail("a division by 0")
		}
		r = a / b
		if a%b != 0 && (a < 0) != (b < 0) {
			r--
		}
		if op == "%" {
			r = a - r*b
		}
	}
	if !fits {
		fail("%d %s %d is too large", a, op, b)
	}
	return r
}
