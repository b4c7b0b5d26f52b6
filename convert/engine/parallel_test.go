package engine_test

import (
	"runtime"
	"sync"
)

// parallel calls do for every item, some at a time.
func parallel[T any](items []T, do func(T)) {
	var wg sync.WaitGroup
	work := make(chan T)
	for range runtime.GOMAXPROCS(0) + 1 {
		wg.Go(func() {
			for x := range work {
				do(x)
			}
		})
	}
	for _, x := range items {
		work <- x
	}
	close(work)
	wg.Wait()
}

// sample takes n items, evenly, the first and the last among them.
func sample[T any](items []T, n int) []T {
	if len(items) <= n {
		return items
	}
	out := make([]T, n)
	for i := range out {
		out[i] = items[i*(len(items)-1)/(n-1)]
	}
	return out
}
