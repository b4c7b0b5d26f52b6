package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"quern/internal/manual"
)

func TestArrange(t *testing.T) {
	app := newApp(newTerminal(os.Stdout, os.Stderr))
	for _, c := range []struct{ in, want string }{
		{"quern", "quern"},
		{"quern --help", "quern --help"},
		{"quern --help nothing", "quern --help nothing"},
		{"quern inspect a", "quern inspect a"},
		{"quern inspect a --json", "quern inspect --json a"},
		{"quern --json inspect a", "quern inspect --json a"},
		{"quern --memory 1GB quantize a --keep x b", "quern quantize --memory 1GB --keep x a b"},
		{"quern quantize a b --workers -1", "quern quantize --workers -1 a b"},
		{"quern quantize a --keep=x b", "quern quantize --keep=x a b"},
		{"quern calibrate merge a -o x b", "quern calibrate merge -o x a b"},
		{"quern calibrate -o x merge a", "quern calibrate merge -o x a"},
		{"quern calibrate --text merge a", "quern calibrate --text merge a"},
		{"quern calibrate a merge", "quern calibrate a merge"},
		{"quern inspect -- --json", "quern inspect -- --json"},
		{"quern inspect --json -- -a -b", "quern inspect --json -- -a -b"},
		{"quern inspect - --json", "quern inspect --json -"},
		{"quern quantize a --nothing b", "quern quantize --nothing a b"},
		{"quern quantize a b --keep", "quern quantize --keep a b"}, // the parser says what is missing, or takes a
		{"quern quantize a b -h", "quern quantize -h"},
		{"quern -v", "quern -v"},
		{"quern quantise --scale-fmt ue8m0 a b", "quern quantise a b --scale-fmt ue8m0"},
		{"quern nothing --colour", "quern nothing --colour"},
		{"quern --colour", "quern --colour"},
		{"quern emit nomad --tasks 3", "quern emit nomad --tasks 3"},
		{"quern emit slurm --tasks 3 -- quantize --x a", "quern emit slurm --tasks 3 -- quantize --x a"},
	} {
		if got := strings.Join(arrange(app, strings.Fields(c.in)).words(), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.in, got, c.want)
		}
	}
}

// A flag before its command is read by what all commands say of the name: they agree
// whether it takes a value.
func TestFlagsAgree(t *testing.T) {
	takes := map[string]bool{}
	for path, c := range manualOf(newTerminal(os.Stdout, os.Stderr)).All() {
		if path == "quern" {
			continue
		}
		for _, f := range c.Flags {
			for _, n := range f.Names {
				if v, ok := takes[n]; ok && v != (f.Value != "") {
					t.Errorf("%s: --%s takes a value in some commands only", path, n)
				}
				takes[n] = f.Value != ""
			}
		}
		for _, want := range []string{"verbose", "help"} {
			if !slices.ContainsFunc(c.Flags, func(f manual.Flag) bool { return slices.Contains(f.Names, want) }) {
				t.Errorf("%s has no --%s", path, want)
			}
		}
	}
	for _, n := range inEnvironment {
		if _, ok := takes[n]; !ok {
			t.Errorf("no command has --%s, which the environment can give", n)
		}
	}
}

func TestMeant(t *testing.T) {
	names := []string{"inspect", "plan", "place", "quantize", "verify", "version"}
	for word, want := range map[string]string{
		"quantise": "quantize", "verfy": "verify", "inpsect": "inspect", "plna": "plan", "versoin": "version",
		"": "", "zzz": "", "deploy": "", "serve": "",
	} {
		if got := meant(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
