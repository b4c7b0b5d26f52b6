package convert

import "strings"

// glob reports whether a module path matches a pattern in which * stands for
// any text, dots included, and ? for one byte.
func glob(pattern, path string) bool {
	// Greedy matching with one point to return to: the last star. Linear in
	// practice, quadratic at worst, never exponential.
	star, mark := -1, 0
	p, s := 0, 0
	for s < len(path) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, s
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == path[s]):
			p++
			s++
		case star >= 0:
			mark++
			p, s = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
