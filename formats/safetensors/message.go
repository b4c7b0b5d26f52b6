package safetensors

import (
	"fmt"
	"strconv"
)

// shorten quotes a string of the file for a message, escaped and cut.
func shorten(s string) string {
	const most = 200
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}

// shapeString prints a shape; callers may hand in one of any rank.
func shapeString(shape []int64) string {
	const most = 16
	if len(shape) > most {
		return fmt.Sprintf("%v… (%d dimensions)", shape[:most], len(shape))
	}
	return fmt.Sprint(shape)
}

// at begins a message about a tensor.
func at(name string) string { return "tensor " + shorten(name) }
