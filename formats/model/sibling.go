package model

import "strings"

// Sibling returns the quantized weight whose multiplier a tensor is by its place: a
// name that contains "scale", beside codes that it can belong to. codes reports
// whether a name is that of a tensor of codes. It finds what the tables do not
// have: experts of unknown families ("X_scale_inv", "X_scale" beside "X") and
// exporters' own words ("X.descale" beside "X.weight"). Scales of activations,
// caches and second levels are none.
func Sibling(name string, codes func(string) bool) (weight string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	param := name[i+1:]
	if !strings.Contains(param, "scal") {
		return "", false
	}
	// The longest beginning of the parameter that is a weight's name, then the module.
	for end := len(param); end > 0; end = strings.LastIndexByte(param[:end], '_') {
		if end == len(param) {
			continue
		}
		if w, ok := weightNamed(name[:i+1+end], codes); ok {
			return w, multiplies(param[end:])
		}
	}
	if i <= 0 {
		return "", false
	}
	w, ok := weightNamed(name[:i], codes)
	return w, ok && multiplies(param)
}

// weightNamed returns which of base and base.weight holds codes.
func weightNamed(base string, codes func(string) bool) (string, bool) {
	if codes(base) {
		return base, true
	}
	w := base + ".weight"
	return w, codes(w)
}

// otherScales are the words by which a scale is told to be another than that of the
// weight.
var otherScales = map[string]bool{
	"input": true, "act": true, "activation": true, "output": true, "cache": true,
	"k": true, "v": true, "q": true, "kv": true, "prob": true,
	"global": true, "2": true, "pre": true, "smooth": true, "zero": true, "bias": true,
}

// multiplies reports whether the words of a scale's name leave it to be the weight's.
func multiplies(words string) bool {
	for w := range strings.SplitSeq(words, "_") {
		if otherScales[w] {
			return false
		}
	}
	return strings.Contains(words, "scal")
}
