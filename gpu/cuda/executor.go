package cuda

import "runtime"

// executor runs functions on one thread of its own. The current context belongs
// to a thread, and goroutines move between threads: so all calls that need one
// come here. The thread is never unlocked and ends with the executor, that no
// other goroutine finds it with a context.
type executor struct {
	tasks chan func()
	ended chan struct{}
}

func newExecutor() *executor {
	e := &executor{tasks: make(chan func()), ended: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		defer close(e.ended)
		for f := range e.tasks {
			f()
		}
	}()
	return e
}

// do runs f and returns what it returns.
func (e *executor) do(f func() error) error {
	result := make(chan error, 1)
	e.tasks <- func() { result <- f() }
	return <-result
}

// close ends the thread. No call may follow.
func (e *executor) close() {
	close(e.tasks)
	<-e.ended
}
