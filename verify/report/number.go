package report

import (
	"math"
	"strconv"
	"strings"

	"quern/internal/svg"
	"quern/verify/metrics"
)

// none stands for a figure that has no value.
const none = "–"

// number is anything that holds a figure.
type number interface{ ~float64 }

func known[T number](x T) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }

// fixed writes x with so many decimals and a true minus.
func fixed(x float64, decimals int) string {
	s := strconv.FormatFloat(x, 'f', decimals, 64)
	if strings.HasPrefix(s, "-") {
		if strings.Trim(s, "-0.") == "" {
			return s[1:] // no negative zero
		}
		return "−" + s[1:]
	}
	return s
}

// digits writes x to n significant digits, as a power of ten where it is far from 1.
func digits[T number](f T, n int) string {
	x := float64(f)
	switch {
	case !known(f):
		return none
	case x == 0:
		return "0"
	case math.Abs(x) < 1e-4 || math.Abs(x) >= 1e6:
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(math.Abs(x), 'e', n-1, 64), "e")
		e, _ := strconv.Atoi(exponent)
		sign := ""
		if x < 0 {
			sign = "−"
		}
		return sign + mantissa + "·10" + svg.Superscript(e)
	}
	return fixed(x, decimalsFor(x, n))
}

// figureOf writes x as tables have it.
func figureOf[T number](x T) string { return digits(x, 4) }

// decimalsFor is how many decimals show n significant digits of x.
func decimalsFor(x float64, n int) int {
	if x == 0 {
		return n - 1
	}
	// Through the text of x, which has rounded already: 9.9996 has one digit more.
	_, exponent, _ := strings.Cut(strconv.FormatFloat(math.Abs(x), 'e', n-1, 64), "e")
	e, _ := strconv.Atoi(exponent)
	return max(0, n-1-e)
}

// percent writes a part of 1 with two decimals.
func percent[T number](x T) string {
	if !known(x) {
		return none
	}
	return fixed(100*float64(x), 2) + "\u202f%"
}

// points writes a difference of parts of 1, with its sign.
func points[T number](x T) string {
	if !known(x) {
		return none
	}
	return signed(fixed(100*float64(x), 2)) + "\u202fpp"
}

// signed puts a plus before what is positive.
func signed(s string) string {
	if strings.HasPrefix(s, "−") || s == none || strings.Trim(s, "0.") == "" {
		return s
	}
	return "+" + s
}

// plusMinus writes a value and its uncertainty with the same decimals: two digits of
// the uncertainty, and at least three of the value.
func plusMinus(value, err metrics.Figure) string {
	x, e := float64(value), float64(err)
	switch {
	case !known(x):
		return none
	case !known(e) || e == 0 || math.Abs(x) >= 1e6 || (x != 0 && math.Abs(x) < 1e-4):
		s := figureOf(x)
		if known(e) && e != 0 {
			s += " ±\u00a0" + digits(e, 2)
		}
		return s
	}
	n := max(decimalsFor(e, 2), min(decimalsFor(x, 3), 6))
	n = min(n, 8)
	return fixed(x, n) + " ±\u00a0" + fixed(e, n)
}

// percentPlusMinus is plusMinus for parts of 1.
func percentPlusMinus(value, err metrics.Figure) string {
	switch {
	case !known(value):
		return none
	case !known(err):
		return percent(value)
	}
	return fixed(100*float64(value), 2) + " ±\u00a0" + fixed(100*float64(err), 2) + "\u202f%"
}

// decibels writes a ratio; nil is that of two tensors that are equal.
func decibels(db *float64) string {
	switch {
	case db == nil:
		return "exact"
	case !known(*db) || *db <= unmeasurable:
		return none
	}
	return fixed(*db, 2)
}

// unmeasurable is the ratio in dB that stands for none (see verify.TensorError).
const unmeasurable = -400

// bounded writes a figure that may be the largest number instead of none.
func bounded(x float64, write func(float64) string) string {
	if math.Abs(x) >= math.MaxFloat64 {
		return none
	}
	return write(x)
}
