package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"quern/convert"
	"quern/convert/engine"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/internal/blockio/faultfs"
	"quern/scheme"
	"quern/task"
)

// A test that needs a process of its own (to kill it, to measure its memory)
// runs this binary again with these variables.
const (
	childIn    = "QUERN_TEST_CHILD_IN"    // the checkpoint; set: be a child
	childOut   = "QUERN_TEST_CHILD_OUT"   // the output folder
	childShard = "QUERN_TEST_CHILD_SHARD" // shard size in bytes
	childSlow  = "QUERN_TEST_CHILD_SLOW"  // how long each write takes
	childKill  = "QUERN_TEST_CHILD_KILL"  // the call at which the process kills itself
	childTask  = "QUERN_TEST_CHILD_TASK"  // engine.Options.Task, i/n
	childMem   = "QUERN_TEST_CHILD_MEM"   // engine.Options.Memory; its peak is printed at the end
	childTo    = "QUERN_TEST_CHILD_TO"    // the scheme
)

// scratch is a folder for what tests share and compare; it goes when they end.
var scratch string

// temp makes a folder in scratch that goes when the test ends.
func temp(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestMain(m *testing.M) {
	if in := os.Getenv(childIn); in != "" {
		if err := child(in, os.Getenv(childOut)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// In memory where that is possible: thousands of runs are compared here, and
	// none of them is about the disk.
	var err error
	if scratch, err = os.MkdirTemp("/dev/shm", "quern-engine"); err != nil {
		if scratch, err = os.MkdirTemp("", "quern-engine"); err != nil {
			panic(err)
		}
	}
	defer os.RemoveAll(scratch)
	return m.Run()
}

// command runs this binary as a child that converts tiny.
func command(out string, env ...string) (*exec.Cmd, *bytes.Buffer) {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childIn+"="+tiny(), childOut+"="+out, fmt.Sprintf("%s=%d", childShard, tinyShard))
	c.Env = append(c.Env, "GORACE=atexit_sleep_ms=0") // or each would wait a second at its end
	c.Env = append(c.Env, env...)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	return c, &said
}

// child converts as its variables say.
func child(in, out string) error {
	number := func(name string) (n int64) {
		_, _ = fmt.Sscan(os.Getenv(name), &n)
		return n
	}
	ck, p, err := openFor(in, number(childShard), os.Getenv(childTo))
	if err != nil {
		return err
	}
	o := convert.EngineOptions(ck, out, convert.RunOptions{Memory: number(childMem)})
	if s := os.Getenv(childTask); s != "" {
		if o.Task, err = task.Parse(s, nil); err != nil {
			return err
		}
	}
	slow, err := time.ParseDuration(os.Getenv(childSlow))
	if err == nil || number(childKill) > 0 {
		var calls atomic.Int64
		through(&o, &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
			if calls.Add(1) == number(childKill) {
				self, _ := os.FindProcess(os.Getpid())
				_ = self.Kill()
				select {} // until it takes effect
			}
			switch c.Kind {
			case faultfs.Write, faultfs.Sync, faultfs.Rename, faultfs.SyncDir:
				time.Sleep(slow)
			}
			return nil
		}})
	}
	if _, err := engine.Run(context.Background(), p, o); err != nil {
		return err
	}
	if os.Getenv(childMem) != "" {
		fmt.Println(peak())
	}
	return nil
}

// open plans the quantization of a checkpoint.
func open(in string, shard int64) (*hf.Checkpoint, *plan.Plan, error) {
	return openFor(in, shard, "")
}

// openFor plans it with a scheme, of experts and dense MLPs at least.
func openFor(in string, shard int64, to string) (*hf.Checkpoint, *plan.Plan, error) {
	ck, err := hf.Open(in)
	if err != nil {
		return nil, nil, err
	}
	o := convert.QuantizeOptions{ShardSize: shard}
	if o.Scheme, err = scheme.Find(to); err != nil {
		return nil, nil, err
	}
	if o.Scheme.Experts { // alone it would mean those
		o.Roles = []convert.RoleScheme{{Role: "dense", Scheme: o.Scheme}}
	}
	p, err := convert.PlanQuantize(ck, o)
	return ck, p, err
}
