//go:build race

package engine_test

// raced: the race detector is on; everything takes ten times as long and much
// more memory.
const raced = true
