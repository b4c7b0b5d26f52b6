package gpu_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// With the tag nogpu a program is static and has nothing of purego in it; without,
// it has. On systems where purego does not work, too.
func TestNoGPU(t *testing.T) {
	goCmd, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command here: ", err)
	}
	deps := func(env string, args ...string) string {
		cmd := exec.Command(goCmd, append([]string{"list", "-deps"}, args...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", env)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for _, c := range []struct {
		env  string
		args []string
		want bool
	}{
		{"GOOS=linux", []string{"."}, true},
		{"GOOS=linux", []string{"-tags", "nogpu", "."}, false},
		{"GOOS=freebsd", []string{"."}, false},
		{"GOARCH=riscv64", []string{"."}, false},
	} {
		if got := strings.Contains(deps(c.env, c.args...), "purego"); got != c.want {
			t.Errorf("%s %v: purego is linked: %v", c.env, c.args, got)
		}
	}
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("what follows builds programs for Linux")
	}
	for _, tags := range []string{"", "nogpu"} {
		bin := filepath.Join(t.TempDir(), "program")
		cmd := exec.Command(goCmd, "build", "-tags", tags, "-o", bin, "./testdata/static")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		f, err := elf.Open(bin)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		libs, err := f.ImportedLibraries()
		if err != nil {
			t.Fatal(err)
		}
		if static := len(libs) == 0; static != (tags == "nogpu") {
			t.Errorf("tags %q: needs %v", tags, libs)
		}
		if out, err := exec.Command(bin).CombinedOutput(); err != nil || !strings.Contains(string(out), "found") {
			t.Errorf("tags %q: %v %s", tags, err, out)
		}
	}
}
