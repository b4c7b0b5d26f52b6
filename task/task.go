// Package task says which part of the work is a process's own when many machines share
// it: task i of n, as it is told or as schedulers tell it, and which files that task makes.
package task

import (
	"fmt"
	"strconv"
	"strings"
)

// A Task is one of N, numbered from 1. The zero Task is the whole work.
type Task struct{ I, N int }

// Most is how many tasks there can be.
const Most = 1_000_000

// Whole reports whether the work is not divided.
func (t Task) Whole() bool { return t.N == 0 }

// String is the form that Parse reads.
func (t Task) String() string { return fmt.Sprintf("%d/%d", t.I, t.N) }

// Parse reads i/n, or with "auto" what the environment says (see FromEnv). Its errors
// blame the command line.
func Parse(s string, env func(string) string) (Task, error) {
	if s == "auto" {
		return FromEnv(env)
	}
	return parse(s)
}

func parse(s string) (Task, error) {
	a, b, ok := strings.Cut(s, "/")
	i, err := number(a)
	n, err2 := number(b)
	if !ok || err != nil || err2 != nil {
		return Task{}, fmt.Errorf("%q: a task has the form i/n, as 3/16 is the third of sixteen, or is auto", s)
	}
	return check(i, n, s)
}

// number reads a number without a sign.
func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err
}

// check refuses a task that is none of n.
func check(i, n int, from string) (Task, error) {
	switch {
	case n < 1 || n > Most:
		return Task{}, fmt.Errorf("%s: %d tasks; there can be 1 to %d", from, n, Most)
	case i < 1 || i > n:
		return Task{}, fmt.Errorf("%s: task %d is none of %d, which are numbered from 1", from, i, n)
	}
	return Task{i, n}, nil
}
