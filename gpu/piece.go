package gpu

import (
	"sync"

	"quern/gpu/driver"
	"quern/gpu/kernels"
)

// job is a call under way: pieces that go through slots.
type job struct {
	a     *accelerator
	under sync.WaitGroup // pieces under way

	mu  sync.Mutex
	err error // the first one
}

func (j *job) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = err
	}
}

func (j *job) failed() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// wait returns when all pieces are done.
func (j *job) wait() error {
	j.under.Wait()
	return j.failed()
}

// call runs do, which gives the pieces of a call away, and returns when they are
// under way.
func (a *accelerator) call(do func(j *job)) *Pending {
	if err := a.enter(); err != nil {
		return done(err)
	}
	j := &job{a: a}
	do(j)
	ended := make(chan struct{})
	go func() {
		defer a.calls.Done()
		defer close(ended)
		j.under.Wait()
	}()
	return NewPending(func() error {
		<-ended
		return j.failed()
	})
}

// piece waits for a free slot and gives it to enqueue, which writes, launches and
// reads on its queue. finish, which enqueue returns and may be nil, is called when
// that is done, before the slot is free again. The result is false where the job
// has failed and no more pieces are of use.
func (j *job) piece(enqueue func(s *slot) (finish func(), err error)) bool {
	a := j.a
	s := <-a.slots
	if p := a.broken.Load(); p != nil {
		j.fail(*p)
	}
	if j.failed() != nil {
		a.slots <- s
		return false
	}
	finish, err := enqueue(s)
	var e driver.Event
	if err == nil {
		e, err = s.queue.Record()
	}
	if err != nil {
		// What was enqueued may still be at work on the slot's memory, or the
		// caller's.
		_ = s.queue.Finish()
		j.fail(a.blame(err))
		a.slots <- s
		return false
	}
	j.under.Add(1)
	go func() {
		defer j.under.Done()
		defer func() { a.slots <- s }()
		err := e.Wait()
		if err != nil {
			_ = s.queue.Finish()
		}
		if freed := e.Free(); err == nil {
			err = freed
		}
		if err != nil {
			j.fail(a.blame(err))
			return
		}
		if finish != nil {
			finish()
		}
	}()
	return true
}

// launch runs a kernel: buffers first, then numbers.
func (s *slot) launch(k *kernels.Kernel, groups int, buffers []driver.Buffer, words ...int) error {
	args := make([]driver.Arg, 0, len(buffers)+len(words))
	for _, b := range buffers {
		args = append(args, driver.Arg{Buffer: b})
	}
	for _, w := range words {
		args = append(args, driver.Arg{Value: uint32(w)})
	}
	return s.queue.Launch(k, groups, args...)
}
