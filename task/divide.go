package task

import (
	"fmt"
	"strings"
)

// Divide shares files of given sizes in bytes among n tasks and returns where the files of
// each task end: task i, from 1, has those from ends[i-2] (or 0) up to ends[i-1]. A task
// has neighbours, so that it reads its part of the input from front to back. The largest
// share is as small as neighbours allow, less than the mean and one file, and no task is
// without a file where there are enough.
func Divide(sizes []int64, n int) []int {
	limit := smallest(sizes, n)
	var left int64
	for _, s := range sizes {
		left += s
	}
	ends := make([]int, n)
	at := 0
	for i := range ends {
		tasks := n - i // this one and those behind it
		fair := left / int64(tasks)
		var load int64
		for at < len(sizes) {
			s := sizes[at]
			files := len(sizes) - at
			enough := load > 0 && load+s/2 > fair && fits(sizes[at:], tasks-1, limit)
			spare := load > 0 && files < tasks && fits(sizes[at:], tasks-1, limit) // the others want one each
			if enough || spare || load+s > limit && load > 0 {
				break
			}
			load += s
			left -= s
			at++
			if load == 0 && len(sizes)-at < tasks { // an empty file is a file too
				break
			}
		}
		ends[i] = at
	}
	ends[n-1] = len(sizes)
	return ends
}

// smallest is the least that the largest of n shares of neighbours can be.
func smallest(sizes []int64, n int) int64 {
	var low, high int64
	for _, s := range sizes {
		low, high = max(low, s), high+s
	}
	for low < high {
		if mid := low + (high-low)/2; fits(sizes, n, mid) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// fits reports whether n shares of neighbours hold all files when none is larger than a
// limit.
func fits(sizes []int64, n int, limit int64) bool {
	shares, load := 1, int64(0)
	for _, s := range sizes {
		if load+s > limit {
			shares, load = shares+1, 0
		}
		load += s
	}
	return len(sizes) == 0 || shares <= n
}

// Of returns which of the files are a task's: from first up to last, without last.
func (t Task) Of(sizes []int64) (first, last int) {
	if t.Whole() {
		return 0, len(sizes)
	}
	ends := Divide(sizes, t.N)
	if t.I > 1 {
		first = ends[t.I-2]
	}
	return first, ends[t.I-1]
}

// Ranges writes ascending numbers as schedulers take them: 3,7-9.
func Ranges(numbers []int) string {
	var b strings.Builder
	for i := 0; i < len(numbers); {
		k := i
		for k+1 < len(numbers) && numbers[k+1] == numbers[k]+1 {
			k++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		if fmt.Fprintf(&b, "%d", numbers[i]); k > i {
			fmt.Fprintf(&b, "-%d", numbers[k])
		}
		i = k + 1
	}
	return b.String()
}

// Missing says which of so many tasks are not done.
func Missing(tasks []int, of int) string {
	word := "tasks"
	if len(tasks) == 1 {
		word = "task"
	}
	return fmt.Sprintf("not all there yet: %s %s of %d", word, Ranges(tasks), of)
}
