package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// hostile is a broken checkpoint, or a place that is none.
type hostile struct {
	name string
	in   folder   // what the folder "in" holds
	say  []string // what the message must name
	args []string // nil: quantize in out

	prepare func(t *testing.T, dir string) // what a table of files cannot say
	code    int                            // 0: exitInvalid
	kept    bool                           // "out" was there before, and stays as it was
	heavy   bool                           // takes a second: not for all commands
}

// folder is file names and contents.
type folder map[string]string

const (
	maxPeak   = 300 << 20 // bytes
	maxAnswer = 20 * time.Second
)

// Every broken input ends within seconds and 300 MiB with one line that says
// what is wrong with what, and leaves nothing that looks like a checkpoint.
func TestHostile(t *testing.T) {
	cases := slices.Concat(hostileContainers(), hostileIndexes(), hostileConfigs(), hostileData(), hostilePlaces())
	if len(cases) < 250 {
		t.Errorf("%d cases: some are lost", len(cases))
	}
	seen := map[string]bool{}
	for i, c := range cases {
		if seen[c.name] {
			t.Errorf("two cases %s", c.name)
		}
		seen[c.name] = true
		if raceDetector && (i%8 != 0 || c.heavy) {
			continue // programs that look for races start slowly, and here is a thousand
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c.make(t, dir)
			var before string
			if c.kept {
				before = list(t, filepath.Join(dir, "out"))
			}
			args := c.args
			if args == nil {
				args = []string{"quantize", "--quiet", "in", "out"}
			}
			r := quern(t, dir, args...)
			want := c.code
			if want == 0 {
				want = exitInvalid
			}
			if r.code != want {
				t.Errorf("exit code %d, want %d", r.code, want)
			}
			r.checkMessage(t, c.say)
			switch {
			case c.kept:
				if after := list(t, filepath.Join(dir, "out")); after != before {
					t.Errorf("out was %s, is %s", before, after)
				}
			default:
				for _, pattern := range []string{"*.safetensors", "*.json"} {
					if left, _ := filepath.Glob(filepath.Join(dir, "out", pattern)); left != nil {
						t.Errorf("left behind: %q", left)
					}
				}
			}
			if testing.Verbose() {
				t.Logf("%s (%d MiB)", r.stderr, r.peak>>20)
			}
			// The other commands give an answer too, or refuse as cleanly.
			others := [][]string{{"inspect", "--quiet", "in"}, {"verify", "--quiet", "in"}, {"convert", "--quiet", "--to", "bf16", "in", "bf16"}}
			if c.heavy {
				others = others[:1]
			}
			for _, args := range others {
				r := quern(t, dir, args...)
				if r.code == 0 {
					continue
				}
				if r.code != exitInvalid && r.code != c.code && !(args[0] == "verify" && r.code == exitGate) {
					t.Errorf("%s: exit code %d: %s", args[0], r.code, r.stderr)
				}
				r.checkMessage(t, nil)
			}
		})
	}
}

// make writes the case into dir.
func (c *hostile) make(t *testing.T, dir string) {
	t.Helper()
	if c.in != nil {
		if err := os.Mkdir(filepath.Join(dir, "in"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range c.in {
		if err := os.WriteFile(filepath.Join(dir, "in", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if c.prepare != nil {
		c.prepare(t, dir)
	}
}

// answer is what a quern did.
type answer struct {
	code           int
	stdout, stderr string
	peak           int64 // bytes, 0 if unknown
}

// quern runs the program in dir and holds it to time and memory.
func quern(t *testing.T, dir string, args ...string) answer {
	t.Helper()
	return quernWithin(t, maxAnswer, dir, args...)
}

// quernWithin runs the program for as long as that.
func quernWithin(t *testing.T, limit time.Duration, dir string, args ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "quern", args...)
	cmd.Dir = dir
	peak := filepath.Join(t.TempDir(), "peak")
	cmd.Env = append(os.Environ(), peakFile+"="+peak)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	fault := cmd.Run()
	r := answer{stdout: out.String(), stderr: err.String()}
	if e := (*exec.ExitError)(nil); errors.As(fault, &e) {
		r.code = e.ExitCode()
	} else if fault != nil {
		t.Fatal(fault)
	}
	if ctx.Err() != nil {
		t.Errorf("%s: no answer in %s", args[0], limit)
	}
	if status, err := os.ReadFile(peak); err == nil {
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		var kib int64
		if n, _ := fmt.Sscan(rest, &kib); n == 1 {
			r.peak = kib << 10
		}
	}
	if r.peak > maxPeak && !raceDetector {
		t.Errorf("%s: peak memory %d MiB", args[0], r.peak>>20)
	}
	return r
}

// checkMessage wants one line of plain text that begins as errors do and has
// all parts of say.
func (r *answer) checkMessage(t *testing.T, say []string) {
	t.Helper()
	line, ended := strings.CutSuffix(r.stderr, "\n")
	switch {
	case !ended || !strings.HasPrefix(line, "quern: ") || strings.Contains(line, "\n"):
		t.Errorf("no message of one line: %q", r.stderr)
	case strings.Contains(line, "panic") || strings.Contains(line, "goroutine "):
		t.Errorf("panic: %s", line)
	case strings.ContainsFunc(line, unicode.IsControl) || !utf8.ValidString(line):
		t.Errorf("control codes: %q", line)
	case len(line) > 2000:
		t.Errorf("message of %d bytes", len(line))
	}
	for _, s := range say {
		if !strings.Contains(line, s) {
			t.Errorf("the message does not name %q: %s", s, line)
		}
	}
}

// list is what lies in a folder, with sizes.
func list(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err.Error()
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %d %s\n", e.Name(), info.Size(), info.ModTime())
	}
	return b.String()
}
