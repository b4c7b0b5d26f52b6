package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// completionCase is a line that is being typed, the last word being completed.
type completionCase struct {
	words    []string
	has, not []string // of what is offered
	none     bool     // nothing is, but flags
}

// The files of the folder in which the shells complete.
const modelDir, modelFile = "a model", "tiny.safetensors"

// completionCases go through all commands, flags and arguments that there are.
func completionCases() []completionCase {
	root := manualOf(newTerminal(os.Stdout, os.Stderr))
	files := []string{modelDir, modelFile}
	kinds := map[string][]string{ // of placeholders: all that are in use, by what they stand for
		"FILE": files, "F": files, "DIR": files, "CKPT": files,
		"N": nil, "K": nil, "R": nil, "G": nil, "E": nil, "T": nil, "X": nil, "SIZE": nil, "TEXT": nil, "GLOB": nil,
		"float|ue8m0": {"float", "ue8m0"}, "none|mse|weighted": {"none", "mse", "weighted"}, "auto|cpu|cuda[:n]|opencl[:n]": {"auto", "cpu", "cuda", "opencl"},
		"NAME=LIMIT|off": {"off"},
	}
	var cases []completionCase
	add := func(path string, more ...string) *completionCase {
		cases = append(cases, completionCase{words: append(strings.Fields(path), more...)})
		return &cases[len(cases)-1]
	}
	for path, c := range root.All() {
		flags := add(path, "--")
		for _, f := range c.Flags {
			name := "--" + f.Names[0]
			flags.has = append(flags.has, name)
			if f.Value == "" {
				continue
			}
			at := add(path, name, "")
			known := false
			if at.has, known = kinds[f.Value]; known {
				at.none = at.has == nil
			}
			at.not = []string{"--help", "inspect"}
			has := at.has
			for _, alias := range f.Names[1:] {
				add(path, "-"+alias, "").has = has
			}
		}
		arguments := completionCase{words: append(strings.Fields(path), "")}
		switch {
		case strings.Contains(c.Arguments, "CKPT"), strings.Contains(c.Arguments, "IN"), strings.Contains(c.Arguments, "OUT"), strings.Contains(c.Arguments, "DIR"):
			arguments.has = slices.Clone(files)
			add(path, "--help", "").has = files
			add(path, modelFile, "").has = files
			add(path, modelFile, "tin").not = []string{modelDir}
		case len(c.Commands) == 0 && !strings.Contains(c.Arguments, "A B") && !strings.Contains(c.Arguments, "bash|"):
			arguments.none = true
		}
		for _, sub := range c.Commands {
			arguments.has = append(arguments.has, sub.Name)
		}
		cases = append(cases, arguments)
	}
	add("quern", "qu").has = []string{"quantize"}
	add("quern completion", "").has = []string{"bash", "zsh", "fish"}
	add("quern calibrate merge", "").has = files
	// A word is a command only where one may stand.
	c := add("quern quantize", "run", "")
	c.has, c.not = files, []string{"inspect"}
	c = add("quern calibrate --text merge", "--")
	c.has, c.not = []string{"--pairs"}, nil
	c = add("quern quantize --scale-fmt ue8m0", "")
	c.has, c.not = files, []string{"ue8m0"}
	add("quern quantize --memory 1GiB --keep x", "--sc").has = []string{"--scale-fmt"}
	add("quern quantize", "--scale-fmt=u").has = []string{"ue8m0"}
	add("quern verify --baseline=tiny.safetensors", "").has = files
	return cases
}

// Each shell is run for real, with the script that the program prints.
func TestCompletion(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("shells of other systems")
	}
	cases := completionCases()
	if len(cases) < 100 {
		t.Fatalf("only %d cases", len(cases))
	}
	for shell, offers := range map[string]func(t *testing.T, script, dir string, cases []completionCase) []string{"bash": bashOffers, "zsh": zshOffers, "fish": fishOffers} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(shell); err != nil {
				t.Skip(err)
			}
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, modelDir), 0o777); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, modelFile), "")
			script := filepath.Join(t.TempDir(), "script")
			out, err := exec.Command("quern", "completion", shell).Output()
			if err != nil {
				t.Fatal(err)
			}
			write(t, script, string(out))
			got := offers(t, script, dir, cases)
			if len(got) != len(cases) {
				t.Fatalf("%d answers to %d cases: %q", len(got), len(cases), got)
			}
			for i, c := range cases {
				c.check(t, strings.Split(strings.Trim(got[i], "\n"), "\n"))
			}
		})
	}
}

// bashOffers calls the script's function as bash does when the key is pressed.
func bashOffers(t *testing.T, script, dir string, cases []completionCase) []string {
	var b strings.Builder
	fmt.Fprintf(&b, "source %s\n", script)
	b.WriteString(`try() { COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=(); _quern; printf '%s\n' "${COMPREPLY[@]}" ===; }` + "\n")
	for _, c := range cases {
		b.WriteString("try")
		for _, w := range c.words {
			if flag, value, cut := strings.Cut(w, "="); cut { // bash divides words there
				fmt.Fprintf(&b, " '%s' '=' '%s'", flag, value)
			} else {
				fmt.Fprintf(&b, " '%s'", w)
			}
		}
		b.WriteString("\n")
	}
	return strings.Split(strings.TrimSuffix(shellOutput(t, dir, "bash", "--norc", "--noprofile", "-c", b.String()), "===\n"), "===\n")
}

func fishOffers(t *testing.T, script, dir string, cases []completionCase) []string {
	var b strings.Builder
	fmt.Fprintf(&b, "source %s\n", script)
	for _, c := range cases {
		fmt.Fprintf(&b, "complete -C '%s'\necho ===\n", strings.Join(c.words, " "))
	}
	out := shellOutput(t, dir, "fish", "--no-config", "-c", b.String())
	var lines []string
	for _, l := range strings.Split(out, "\n") {
		l, _, _ = strings.Cut(l, "\t") // what follows is a description
		if _, value, cut := strings.Cut(l, "="); cut && l != "===" {
			l = value
		}
		lines = append(lines, strings.TrimSuffix(strings.ReplaceAll(l, `\ `, " "), "/"))
	}
	return strings.Split(strings.TrimSuffix(strings.Join(lines, "\n"), "===\n"), "===\n")
}

// zshOffers presses the key in a zsh of its own, in which compadd, through which all
// that is offered goes, also writes to a file.
func zshOffers(t *testing.T, script, dir string, cases []completionCase) []string {
	tmp := t.TempDir()
	var lines strings.Builder
	for _, c := range cases {
		lines.WriteString(strings.Join(c.words, " ") + "\n")
	}
	write(t, filepath.Join(tmp, "lines"), lines.String())
	write(t, filepath.Join(tmp, "setup"), fmt.Sprintf(`
PS1= LISTMAX=-1
autoload -Uz compinit; compinit -u -D
source %[2]s
compadd() {
	local -a hits
	if (( ! ${@[(I)-O]} && ! ${@[(I)-A]} && ! ${@[(I)-D]} )); then
		builtin compadd -A hits "$@"
		print -rl -- $hits >>%[1]s/log
	fi
	builtin compadd "$@"
}
zle -C offer list-choices _main_complete
try() {
	local line
	for line in "${(@f)$(<%[1]s/lines)}"; do
		BUFFER=$line CURSOR=$#line
		zle offer
		print -r -- '===' >>%[1]s/log
	done
	print done >%[1]s/done
	exit
}
zle -N try; bindkey '^G' try
print ready >%[1]s/ready
`, tmp, script))
	driver := fmt.Sprintf(`
zmodload zsh/zpty
wait_for() { local i; for ((i = 0; i < 1200; i++)); do [[ -e $1 ]] && return; zpty -r -t z line; sleep 0.05; done; exit 9 }
zpty -b z TERM=xterm zsh -f -i
zpty -w z "source %[1]s/setup"
wait_for %[1]s/ready
zpty -w -n z $'\a'
wait_for %[1]s/done
zpty -d z
cat %[1]s/log
`, tmp)
	out := strings.ReplaceAll(shellOutput(t, dir, "zsh", "-f", "-c", driver), `\ `, " ")
	return strings.Split(strings.TrimSuffix(out, "===\n"), "===\n")
}

func shellOutput(t *testing.T, dir, shell string, args ...string) string {
	cmd := exec.Command(shell, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C.UTF-8")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Fatalf("%s: %v: %s", shell, err, errs.String())
	}
	return string(out)
}

func (c *completionCase) check(t *testing.T, offered []string) {
	line := strings.Join(c.words, " ")
	for _, want := range c.has {
		if !slices.Contains(offered, want) {
			t.Errorf("%q: %q is not offered, only %q", line, want, offered)
		}
	}
	for _, bad := range c.not {
		if slices.Contains(offered, bad) {
			t.Errorf("%q: %q is offered", line, bad)
		}
	}
	if c.none && slices.ContainsFunc(offered, func(s string) bool { return s != "" && s[0] != '-' }) {
		t.Errorf("%q: %q are offered", line, offered)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}
