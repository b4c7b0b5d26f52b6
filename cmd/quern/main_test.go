package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// peakFile names the environment variable that makes quern, run by tests, leave
// its peak memory in a file.
const peakFile = "QUERN_TEST_PEAK"

// TestMain puts a quern on the PATH that is this test binary, so that scripts
// and tests run the program as users do, in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"quern": func() {
			code := run(os.Args, os.Stdout, os.Stderr)
			if name := os.Getenv(peakFile); name != "" {
				// What the kernel tells the parent counts the parent's own pages too.
				status, _ := os.ReadFile("/proc/self/status")
				_ = os.WriteFile(name, status, 0o644)
			}
			os.Exit(code)
		},
	})
}
