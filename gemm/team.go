package gemm

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// task is work in numbered items that can be done in any order.
type task interface {
	item(i int, ws *workspace)
	// recycle is called once nothing uses the task any more.
	recycle()
}

// team shares a task's items among goroutines. A goroutine that starts late finds
// nothing left and is not waited for.
type team struct {
	task  task
	items int32
	next  atomic.Int32 // the first item that nobody has taken
	left  atomic.Int32 // items that are not done
	users atomic.Int32 // goroutines that may still look at this
	done  chan struct{}
	help  func() // what a further goroutine does, made once: a go statement with arguments allocates
}

// run does all items on at most the given number of goroutines and recycles.
func (t *team) run(k task, items, workers int) {
	workers = min(workers, items)
	if workers <= 1 {
		ws := getWorkspace()
		for i := range items {
			k.item(i, ws)
		}
		putWorkspace(ws)
		k.recycle()
		return
	}
	if t.help == nil {
		t.help = func() {
			starting.Add(-1)
			t.work()
		}
		t.done = make(chan struct{}, 1)
	}
	t.task, t.items = k, int32(items)
	t.next.Store(0)
	t.left.Store(int32(items))
	t.users.Store(2) // in work, and waiting
	for limit := int32(runtime.GOMAXPROCS(0)); workers > 1; workers-- {
		if starting.Add(1) > limit {
			starting.Add(-1)
			break
		}
		t.users.Add(1)
		go t.help()
	}
	t.work()
	<-t.done
	t.leave()
}

// starting counts goroutines that were made and do not run yet. On a busy machine
// that can take longer than the work; more of them would only pile up.
var starting atomic.Int32

// work takes items until there are none.
func (t *team) work() {
	var ws *workspace
	for {
		i := t.next.Add(1) - 1
		if i >= t.items {
			break
		}
		if ws == nil {
			ws = getWorkspace()
		}
		t.task.item(int(i), ws)
		if t.left.Add(-1) == 0 {
			t.done <- struct{}{}
		}
	}
	if ws != nil {
		putWorkspace(ws)
	}
	t.leave()
}

func (t *team) leave() {
	if t.users.Add(-1) == 0 {
		k := t.task
		t.task = nil
		k.recycle()
	}
}

// workersOf returns the number of goroutines that o allows.
func workersOf(o Options) int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

var products = sync.Pool{New: func() any { return new(product) }}

func (j *product) recycle() {
	// Nothing here may keep the caller's memory alive.
	j.y, j.x, j.w = nil, nil, Weight{}
	products.Put(j)
}
