package main

import (
	"os"
	"strings"
	"testing"
)

// A newcomer starts with two commands, as they stand there.
func TestReadme(t *testing.T) {
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Skip("no README.md:", err)
	}
	for _, want := range []string{"go run ./cmd/quern pipeline", "go test ./..."} {
		if !strings.Contains(string(raw), "\n"+want+"\n") {
			t.Errorf("README.md has no line %q", want)
		}
	}
	// Each command that it shows is one.
	commands := map[string]bool{}
	for _, c := range newApp(newTerminal(os.Stdout, os.Stderr)).Commands {
		commands[c.Name] = true
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "quern" && f[1] == strings.ToLower(f[1]) && !commands[f[1]] && strings.Contains(line, "./") {
			t.Errorf("README.md shows a command that is none: %s", line)
		}
	}
}
