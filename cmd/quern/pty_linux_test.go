package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"quern/internal/tinyseek"
	"quern/internal/ui"
)

// pty opens a pseudo-terminal of 100 columns.
func pty(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { terminal.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: ui.Columns}); err != nil {
		t.Fatal(err)
	}
	return master, terminal
}

// run at a terminal says what it waits for, and the first Ctrl-C ends it. With --chat
// each line is answered.
func TestPromptAtTerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	template := "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
	if err := os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(template), 0o644); err != nil {
		t.Fatal(err)
	}
	const whole, lines = "waiting for the prompt", "a line is a message"
	for _, c := range []struct {
		says, typed string
		code        int
	}{{whole, "\x03", exitInterrupted}, {whole, "func main() {\n\x04", 0}, {lines, "\x03", exitInterrupted}, {lines, "hi\n\nthere\n\x04", 0}} {
		master, terminal := pty(t)
		cmd := exec.Command("quern", "run", "--max-tokens", "2", fmt.Sprintf("--chat=%t", c.says == lines), dir)
		cmd.Env = append(os.Environ(), "TERM=xterm")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		terminal.Close()
		var text []byte
		buf, typed := make([]byte, 4096), false
		for {
			n, err := master.Read(buf)
			text = append(text, buf[:n]...)
			if !typed && bytes.Contains(text, []byte(c.says)) {
				typed = true
				if _, err := master.WriteString(c.typed); err != nil {
					t.Error(err)
				}
			}
			if err != nil {
				break
			}
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); !typed || code != c.code {
			t.Errorf("%q: exit code %d: %q", c.typed, code, text)
		}
		if n := bytes.Count(text, []byte("2 tokens, ")); c.says == lines && c.code == 0 && n != 2 {
			t.Errorf("%d answers to two lines: %q", n, text)
		}
	}
}

// Verdicts are coloured on a terminal, unless NO_COLOR says not to; a narrow terminal is
// kept to.
func TestVerdictsAtTerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		env  string
		want bool
	}{{"TERM=xterm", true}, {"TERM=dumb", false}, {"NO_COLOR=1", false}} {
		master, terminal := pty(t)
		if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 60}); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("quern", "verify", dir)
		cmd.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=", c.env)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		terminal.Close()
		var raw bytes.Buffer
		_, _ = io.Copy(&raw, master)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v: %s", err, raw.String())
		}
		if got := strings.Contains(raw.String(), "\x1b[32mpassed\x1b[0m"); got != c.want {
			t.Errorf("%s: coloured: %t: %q", c.env, got, raw.String())
		}
		for _, l := range screenOf(strings.NewReplacer("\x1b[32m", "", "\x1b[33m", "", "\x1b[0m", "").Replace(raw.String())) {
			if n := len([]rune(l)); n > 60 {
				t.Errorf("%d columns: %q", n, l)
			}
		}
	}
}

// On a terminal a bar shows how far the work is; when it is gone the result
// stands there as in a pipe.
func TestProgressBar(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := slow(t, filepath.Join(dir, "in"))
	master, terminal := pty(t)
	cmd := exec.Command("quern", append(append([]string{"quantize"}, slowFlags...), "in", "out")...)
	cmd.Dir, cmd.Env = dir, append(env, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	var raw bytes.Buffer
	_, _ = io.Copy(&raw, master) // ends with an error when the other side is closed
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, raw.String())
	}
	text := raw.String()
	for _, want := range []string{"quantizing", "%", "B/s", "\r"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
	lines := screenOf(text)
	for i, l := range lines {
		if strings.Contains(l, "quantizing") || strings.Contains(l, "█") || strings.Contains(l, "|") || strings.Contains(l, "\x1b") {
			t.Errorf("line %d: part of the bar is left: %q", i, l)
		}
		if n := len([]rune(l)); n > ui.Columns {
			t.Errorf("line %d has %d columns", i, n)
		}
	}
	whole := "\n" + strings.Join(lines, "\n") + "\n"
	for _, want := range []string{"\nin: deepseek_v3", "\nworst of ", "\nSQNR dB   error", "\noutput: out\n"} {
		if !strings.Contains(whole, want) {
			t.Errorf("no %q in\n%s", want, whole)
		}
	}
	if testing.Verbose() {
		t.Log(whole)
	}
}

// screenOf is what a terminal shows after text: carriage returns, line feeds and
// erasing to the end of a line are all that is understood.
func screenOf(text string) []string {
	lines := [][]rune{{}}
	at := 0
	rs := []rune(text)
	for i := 0; i < len(rs); i++ {
		row := &lines[len(lines)-1]
		switch rs[i] {
		case '\r':
			at = 0
		case '\n':
			lines, at = append(lines, []rune{}), 0
		case '\x1b':
			end := i + 1
			for end < len(rs) && !(rs[end] >= 'A' && rs[end] <= 'Z' || rs[end] >= 'a' && rs[end] <= 'z') {
				end++
			}
			switch code := string(rs[i:min(end+1, len(rs))]); code {
			case "\x1b[2K":
				*row = (*row)[:0]
			case "\x1b[K", "\x1b[0K":
				*row = (*row)[:min(at, len(*row))]
			default:
				*row = append(*row, []rune(code)...) // shows up in the test
			}
			i = end
		default:
			for len(*row) <= at {
				*row = append(*row, ' ')
			}
			(*row)[at] = rs[i]
			at++
		}
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.TrimRight(string(l), " ")
	}
	return out
}
