//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"quern/convert/manifest"
	"quern/formats/synth"
	"quern/internal/tinyseek"
)

// slow makes a checkpoint of 27 MB, and the environment in which its conversion
// with slowFlags takes seconds.
func slow(t *testing.T, dir string) []string {
	t.Helper()
	v := synth.V3{Hidden: 512, Layers: 2, Dense: 1, Experts: 8, Inter: 1024, MoEInter: 256, Vocab: 1000, Heads: 4, QLora: 128, KVLora: 64, ShardBytes: 8 << 20}
	if err := v.Write(dir); err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "QUERN_CPU=generic")
}

var slowFlags = []string{"--search", "mse", "--workers", "1", "--shard-size", "2MB"}

// A signal ends a conversion with 130 and a word on how to go on, and the same
// command finishes the work to the same bytes.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := slow(t, filepath.Join(dir, "in"))
	if r := quern(t, dir, append(append([]string{"quantize", "--quiet"}, slowFlags...), "in", "whole")...); r.code != 0 {
		t.Fatal(r.stderr)
	}
	want, err := os.ReadFile(filepath.Join(dir, "whole", manifest.Name))
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			out := "after-" + strings.ReplaceAll(sig.String(), " ", "-")
			args := append(append([]string{"quantize"}, slowFlags...), "in", out)
			code, stdout, stderr := interrupt(t, dir, env, sig, filepath.Join(dir, out, "model-00002-*.safetensors"), args...)
			if code != exitInterrupted {
				t.Errorf("exit code %d", code)
			}
			if stdout != "" || !saysFilesKept.MatchString(stderr) {
				t.Errorf("stdout %q, stderr %q", stdout, stderr)
			}
			if _, err := os.Stat(filepath.Join(dir, out, "quern-manifest.json")); err == nil {
				t.Fatal("it was finished already")
			}
			r := quern(t, dir, append(args, "--progress", "json")...)
			if m := begins.FindStringSubmatch(r.stderr); m == nil || len(m[1]) < 7 || m[1] == m[2] {
				t.Errorf("progress does not begin where the run was cut: %q", r.stderr)
			}
			if r.code != 0 || !strings.Contains(r.stdout, "of them from an earlier run") {
				t.Errorf("going on: exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
			got, err := os.ReadFile(filepath.Join(dir, out, manifest.Name))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("the manifests differ (%v)", err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, out, "*.partial")); left != nil {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// begins is the first event that tells of the whole: some of 27 MB are done.
var begins = regexp.MustCompile(`"done":(\d+),"total":(2\d{7}),"seconds":0\.`)

// A calibration that is ended in its first layer finishes that and keeps it.
func TestInterruptCalibrate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := tinyseek.Extract(filepath.Join(dir, "model")); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "QUERN_CPU=generic")
	args := func(out string) []string {
		return []string{"calibrate", "--workers", "1", "--text", "model/verify.txt", "--tokens", "3000", "-o", out, "model"}
	}
	if r := quern(t, dir, args("whole")...); r.code != 0 {
		t.Fatal(r.stderr)
	}
	want, err := os.ReadFile(filepath.Join(dir, "whole"))
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		out := "after-" + strings.ReplaceAll(sig.String(), " ", "-")
		code, stdout, stderr := interrupt(t, dir, env, sig, filepath.Join(dir, out+".state.partial"), args(out)...)
		if code != exitInterrupted || stdout != "" || !strings.Contains(stderr, "a second signal ends at once") || !saysKept.MatchString(stderr) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", sig, code, stdout, stderr)
		}
		if _, err := os.Stat(filepath.Join(dir, out)); err == nil {
			t.Fatal("it was finished already")
		}
		r := quern(t, dir, args(out)...)
		if r.code != 0 || !strings.Contains(r.stdout, "\nwent on at layer ") {
			t.Errorf("going on: exit code %d: %s%s", r.code, r.stdout, r.stderr)
		}
		if got, err := os.ReadFile(filepath.Join(dir, out)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: the files differ (%v)", sig, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*.partial")); left != nil {
			t.Errorf("left behind: %q", left)
		}
	}
}

var saysFilesKept = regexp.MustCompile(`\nquern: interrupted; [1-9] of 10 files (is|are) kept; the same command goes on from here\n$`)

var saysKept = regexp.MustCompile(`\nquern: interrupted; layers? .*\b(is|are) kept; the same command goes on from here\n$`)

// verify ends at once and leaves no half of the file that it writes.
func TestInterruptVerify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := tinyseek.Extract(filepath.Join(dir, "model")); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		code, stdout, stderr := interrupt(t, dir, append(os.Environ(), "QUERN_CPU=generic"), sig, filepath.Join(dir, "o.partial"),
			"verify", "--quiet", "--state", "st", "--workers", "1", "--text", "model/verify.txt", "--emit-reference", "o", "model")
		if code != exitInterrupted || stdout != "" || !regexp.MustCompile(`^quern: interrupted; (\d+) of \d+ tensors are kept; the same command goes on from here\n$`).MatchString(stderr) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", sig, code, stdout, stderr)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "o*")); left != nil {
			t.Errorf("left behind: %q", left)
		}
	}
}

// A verification that is cut goes on with the same figures to the last digit: after a
// signal, which says what is kept, after kills, in a pipe as at a terminal. What has
// changed meanwhile it begins anew, and says so.
func TestVerifyGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := tinyseek.Extract(filepath.Join(dir, "model")); err != nil {
		t.Fatal(err)
	}
	if r := quern(t, dir, "quantize", "--quiet", "model", "out"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	env := append(os.Environ(), "QUERN_CPU=generic")
	args := []string{"verify", "--state", "st", "--workers", "1", "--baseline", "model", "--text", "model/verify.txt", "--tokens", "2500", "out"}
	whole := quern(t, dir, append([]string{args[0], "--json"}, append(args[1:], "--state", "off")...)...)
	if whole.code != 0 {
		t.Fatal(whole.stderr)
	}
	code, stdout, stderr := interrupt(t, dir, env, os.Interrupt, filepath.Join(dir, "st", "*", "baseline.states"), args...)
	kept := regexp.MustCompile(`quern: interrupted; (\d+) of (\d+) tensors, \d of 4 layers of the baseline are kept; the same command goes on from here\n$`)
	if m := kept.FindStringSubmatch(stderr); code != exitInterrupted || stdout != "" || m == nil || m[1] != m[2] {
		t.Fatalf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	code, _, stderr = interrupt(t, dir, env, os.Kill, filepath.Join(dir, "st", "*", "evaluation.states"), args...)
	if code != -1 || !regexp.MustCompile(`note: goes on where an earlier run was cut: (\d+) of (\d+) tensors\n`).MatchString(stderr) ||
		!regexp.MustCompile(`note: running the baseline goes on behind layer \d of 4\n`).MatchString(stderr) {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	r := quern(t, dir, append([]string{args[0], "--json-file", "r.json"}, args[1:]...)...)
	if r.code != 0 || !strings.Contains(r.stderr, "note: running the checkpoint goes on behind layer ") {
		t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
	}
	result, err := os.ReadFile(filepath.Join(dir, "r.json"))
	if err != nil {
		t.Fatal(err)
	}
	a, b := timeless(t, whole.stdout), timeless(t, string(result))
	delete(b, "tool") // of the file
	// Commands differ in what they are given.
	delete(a["setup"].(map[string]any), "command")
	delete(b["setup"].(map[string]any), "command")
	if !reflect.DeepEqual(a, b) {
		t.Errorf("other figures:\n%.3000s\n%.3000s", whole.stdout, r.stdout)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "st", "*")); left != nil {
		t.Errorf("left behind: %q", left)
	}

	_, _, _ = interrupt(t, dir, env, os.Kill, filepath.Join(dir, "st", "*", "records.partial"), args...)
	at := filepath.Join(dir, "out", "config.json")
	raw, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, append(raw, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := quern(t, dir, args...); !strings.Contains(strings.Join(strings.Fields(r.stderr), " "), "note: begins anew: an earlier run was cut, and since then config.json of the checkpoint is another one") {
		t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
	}
}

// run ends at once in the middle of a text, and what is there of it stays.
func TestInterruptRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := tinyseek.Extract(filepath.Join(dir, "model")); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		cmd := exec.Command("quern", "run", "--quiet", "--workers", "1", "--prompt", "func main() {", "--max-tokens", "4000", "--temperature", "1.5", "model")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "QUERN_CPU=generic")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Error(err)
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || said.String() != "quern: interrupted\n" {
			t.Errorf("%s: exit code %d, stderr %q", sig, code, said.String())
		}
	}
}

// A pipeline whose output folder is its own says where it is, and one on the
// embedded model, which takes no time, takes everything away.
func TestInterruptPipeline(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := append(slow(t, filepath.Join(dir, "in")), "TMPDIR="+dir)
	args := append(append([]string{"pipeline", "--quiet"}, slowFlags...), "in")
	code, _, stderr := interrupt(t, dir, env, os.Interrupt, filepath.Join(dir, "quern-*", "in-fp8", "model-00001-*.safetensors"), args...)
	made, _ := filepath.Glob(filepath.Join(dir, "quern-*", "in-fp8"))
	if len(made) != 1 {
		t.Fatalf("output folders: %q", made)
	}
	want := `^quern: interrupted; [1-9] of \d+ files (is|are) kept; the same command with "` + regexp.QuoteMeta(made[0]) + `" as OUT goes on from here\n$`
	if code != exitInterrupted || !regexp.MustCompile(want).MatchString(stderr) {
		t.Errorf("exit code %d, stderr %q, want %q", code, stderr, want)
	}

	args = append(append([]string{"pipeline", "--quiet"}, slowFlags...), "--shard-size", "500KB")
	code, _, stderr = interrupt(t, dir, env, os.Interrupt, filepath.Join(dir, "quern-*", "tinyseek", "tokenizer.json"), args...)
	if code != exitInterrupted || stderr != "quern: interrupted\n" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "quern-*", "tinyseek*")); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

// interrupt runs quern and sends a signal once a file like pattern is there.
func interrupt(t *testing.T, dir string, env []string, sig os.Signal, pattern string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command("quern", args...)
	cmd.Dir, cmd.Env = dir, env
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	sent := false
	for deadline := time.Now().Add(5 * time.Minute); ; {
		select {
		case fault := <-done:
			if e := (*exec.ExitError)(nil); fault != nil && !errors.As(fault, &e) {
				t.Fatal(fault)
			}
			return cmd.ProcessState.ExitCode(), out.String(), err.String()
		case <-time.After(2 * time.Millisecond):
			if found, _ := filepath.Glob(pattern); !sent && found != nil {
				sent = true
				if err := cmd.Process.Signal(sig); err != nil {
					t.Logf("sending %s: %v", sig, err)
				}
			}
			if time.Now().After(deadline) {
				_ = cmd.Process.Kill()
				t.Fatal("no end after five minutes")
			}
		}
	}
}
