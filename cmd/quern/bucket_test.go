//go:build unix

package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"quern/store/bucket/buckettest"
)

// A conversion into a bucket that is killed, or ended by a signal, says how far it is
// and goes on behind the files that it had finished, to the same bytes.
func TestEndedIntoABucket(t *testing.T) {
	dir := t.TempDir()
	slow(t, filepath.Join(dir, "in"))
	t.Setenv("QUERN_CPU", "generic")
	s := (&buckettest.Server{Key: "AKIDEXAMPLE"}).Start(t)
	for k, v := range bucketEnv(s.URL, filepath.Join(dir, "none")) {
		t.Setenv(k, v)
	}
	command := append(append([]string{"quantize", "--quiet"}, slowFlags...), "in")
	if r := quern(t, dir, append(command, "whole")...); r.code != 0 {
		t.Fatal(r.stderr)
	}
	const out = "s3://" + buckettest.Bucket + "/some/out"
	var files atomic.Int64 // of weights that are there
	made := make(chan struct{}, 100)
	s.After(func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			n := int64(0)
			for _, k := range s.Keys() {
				if strings.HasSuffix(k, ".safetensors") {
					n++
				}
			}
			if files.Swap(n) < n {
				made <- struct{}{}
			}
		}
		return false
	})
	for _, sig := range []os.Signal{syscall.SIGKILL, os.Interrupt} {
		cmd := exec.Command("quern", append(command, out)...)
		cmd.Dir = dir
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-made
		<-made
		if r := quern(t, dir, "inspect", out); r.code != exitInvalid || !unfinished.MatchString(r.stderr) {
			t.Errorf("at work: exit code %d: %s", r.code, r.stderr)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Fatalf("%s: it was finished already", sig)
		}
		if sig == os.Interrupt && (cmd.ProcessState.ExitCode() != exitInterrupted || !saysFilesKept.MatchString("\n"+stderr.String())) {
			t.Errorf("exit code %d: %s", cmd.ProcessState.ExitCode(), stderr.String())
		}
		if r := quern(t, dir, "verify", out); r.code != exitInvalid || !unfinished.MatchString(r.stderr) {
			t.Errorf("after %s: exit code %d: %s", sig, r.code, r.stderr)
		}
	}
	r := quern(t, dir, append(append([]string{"quantize"}, command[2:]...), out)...)
	if r.code != 0 || !strings.Contains(r.stdout, "of them from an earlier run") {
		t.Errorf("going on: exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	names, err := os.ReadDir(filepath.Join(dir, "whole"))
	if err != nil || len(names) != len(s.Keys()) || s.Uploads() != 0 {
		t.Errorf("%v: %q, and %d uploads", err, s.Keys(), s.Uploads())
	}
	for _, e := range names {
		raw, err := os.ReadFile(filepath.Join(dir, "whole", e.Name()))
		if err != nil || !bytes.Equal(raw, s.Object("some/out/"+e.Name())) {
			t.Errorf("%s: other bytes (%v)", e.Name(), err)
		}
	}
}

var unfinished = regexp.MustCompile(`^quern: "s3://models/some/out" is unfinished: quern quantize has made [1-9] of its 10 files; the same quern quantize goes on\n$`)
